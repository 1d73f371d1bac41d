// A real terminal without a screen: tmux, with one program in it.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { eventually } from './time.mjs';
import { run } from './processes.mjs';

/** A program in a terminal of so many columns and rows. */
export class Terminal {
  constructor({ folder, columns = 80, rows = 24 }) {
    Object.assign(this, { folder, columns, rows, starts: 0 });
  }

  /** A server of its own for each start: the last one may still be on its way out. */
  get socket() {
    return join(this.folder, `tmux-${this.starts}`);
  }

  #tmux(...args) {
    const env = { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TERM: 'xterm-256color', HOME: this.folder };
    return run('tmux', ['-u', '-S', this.socket, '-f', `${this.socket}.conf`, ...args], { env });
  }

  /** Starts `command` in a folder, with these variables and no others. */
  async start(command, env, folder) {
    this.starts += 1;
    const variables = Object.entries({ TERM: 'tmux-256color', LC_ALL: 'C.UTF-8', ...env }).map(([name, value]) => `${name}=${value}`);
    const size = ['-x', String(this.columns), '-y', String(this.rows)];
    writeFileSync(`${this.socket}.conf`, 'set -g remain-on-exit on\nset -sg escape-time 10\n');
    await this.#tmux('new-session', '-d', '-c', folder, ...size, 'env', '-i', ...variables, ...command);
  }

  /** What is on the screen; with the option -e as escape sequences too. */
  async screen(...options) {
    return this.#tmux('capture-pane', '-p', ...options);
  }

  /** Types a text. */
  async type(text) {
    await this.#tmux('send-keys', '-l', '--', text);
  }

  /** Presses keys, by tmux's names for them. */
  async press(...keys) {
    await this.#tmux('send-keys', ...keys);
  }

  /** Pastes a text, as terminals do it for programs that want to know. */
  async paste(text) {
    await this.#tmux('set-buffer', '--', text, ';', 'paste-buffer', '-p');
  }

  async resize(columns, rows) {
    await this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** Something about the terminal, as tmux calls it. */
  async ask(format) {
    return (await this.#tmux('display-message', '-p', format)).trim();
  }

  /** Waits until `wanted` is on the screen: a text, a pattern, or whatever a function finds. */
  async see(wanted, seconds = 20) {
    const found = (screen) => {
      if (typeof wanted === 'function') return wanted(screen);
      return wanted instanceof RegExp ? wanted.test(screen) : screen.includes(wanted);
    };
    let screen = '';
    try {
      await eventually(`${wanted}`, seconds, async () => found((screen = await this.screen())));
    } catch (error) {
      throw new Error(`${error.message}; the screen shows\n${screen}`);
    }
    return screen;
  }

  /** Waits until the program has ended; gives its exit code. */
  async ended(seconds = 20) {
    await eventually('the program has ended', seconds, async () => (await this.ask('#{pane_dead}')) === '1');
    return Number(await this.ask('#{pane_dead_status}'));
  }

  async close() {
    await this.#tmux('kill-server').catch(() => {}); // it may be gone already
  }
}
