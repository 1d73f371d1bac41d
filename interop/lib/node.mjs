// The node under test: `folkmoot dev` with its data on disk.

import { existsSync, mkdirSync, readFileSync, rmSync, watch } from 'node:fs';
import { join } from 'node:path';

import { TARGET } from './install.mjs';
import { start, stop, tail } from './processes.mjs';
import { within } from './time.mjs';

/** A node with its data on disk, which can be restarted. */
export class TestNode {
  constructor({ program, offset, evm = [], name = 'node' }) {
    this.log = join(TARGET, 'logs', `${name}.log`);
    this.program = program;
    this.ready = join(TARGET, `${name}.ready.json`);
    this.data = join(TARGET, `${name}-data`);
    rmSync(this.data, { recursive: true, force: true });
    mkdirSync(this.data, { recursive: true });
    rmSync(this.log, { force: true });
    this.arguments = ['dev', '--port-offset', String(offset), '--ready-file', this.ready, '--data', this.data, '--keep'];
    for (const chain of evm) this.arguments.push('--evm', chain);
  }

  /** Starts it and waits until it says that it is ready; gives the milliseconds that took. */
  async start() {
    rmSync(this.ready, { force: true });
    const began = Date.now();
    this.handle = start(this.program, this.arguments, { log: this.log });
    this.addresses = await within(30_000, 'the node is ready', this.#readyFile());
    return Date.now() - began;
  }

  /** The ready file's content, as soon as it is whole. */
  #readyFile() {
    const read = () => {
      try {
        return existsSync(this.ready) ? JSON.parse(readFileSync(this.ready, 'utf8')) : undefined;
      } catch {
        return undefined; // half written
      }
    };
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = read();
        if (!found) return;
        watcher.close();
        resolve(found);
      };
      const watcher = watch(TARGET, look);
      look();
      this.handle.ended.then((how) => {
        watcher.close();
        reject(new Error(`the node ended before it was ready: ${how}\n${this.tail()}`));
      });
    });
  }

  /** Ends it as `signal` asks; gives how it ended. */
  async stop(signal = 'SIGTERM') {
    return stop(this.handle, { signal, patience: 15_000 });
  }

  tail(lines = 25) {
    return tail(this.log, lines);
  }

  get alive() {
    return this.handle !== undefined && !this.handle.over;
  }
}
