// `folkmoot chat` in a real terminal, driven by keys, while somebody else writes with
// `folkmoot send`.
//
//   node interop/chat.mjs [--program target/release/folkmoot]
//
// Leaves what the screen showed on the way in target/interop/chat.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { TARGET } from './lib/install.mjs';
import { TestNode } from './lib/node.mjs';
import { freeOffset } from './lib/ports.mjs';
import { run, stopAll } from './lib/processes.mjs';
import { Terminal } from './lib/terminal.mjs';
import { eventually } from './lib/time.mjs';

const { values: options } = parseArgs({
  options: { program: { type: 'string', default: 'target/release/folkmoot' } },
});
const program = resolve(options.program);
const pictures = join(TARGET, 'chat');
const NOTES = 'bread, cheese';

/** A person with a home directory of their own. */
class Person {
  constructor(place, name) {
    this.name = name;
    this.home = join(place, name);
    mkdirSync(this.home, { recursive: true });
    this.env = { PATH: process.env.PATH, HOME: this.home };
  }

  does(...args) {
    return run(program, args, { cwd: this.home, env: this.env });
  }

  /** Makes keys, registers, and tells the address. */
  async join(node) {
    await this.does('xmtp', 'init', '--node', node);
    this.address = JSON.parse(await this.does('whoami', '--json')).address;
  }

  /** Waits until somebody's words have come. */
  hears(whom, words) {
    return eventually(`${this.name} hears ${JSON.stringify(words)}`, 20, async () => {
      const lines = await this.does('tail', whom, '--lines', '20', '--no-follow', '--json').catch(() => '');
      return lines.includes(JSON.stringify(words));
    });
  }
}

/** A web server that takes files, each only as far as somebody wants. */
class Uploads {
  constructor() {
    this.open = false;
    this.lengths = [];
    this.server = createServer((request, response) => {
      let length = 0;
      request.on('data', (piece) => {
        length += piece.length;
        if (!this.open && length > 1_000_000) request.pause();
      });
      request.on('end', () => {
        this.lengths.push(length);
        response.end(`file-${this.lengths.length}`);
      });
      request.on('error', () => {}); // it was cancelled
    });
  }

  async start() {
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}/upload`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

let picture = 0;

async function keep(terminal, name) {
  picture += 1;
  const file = join(pictures, `${String(picture).padStart(2, '0')}-${name}.txt`);
  writeFileSync(file, await terminal.screen());
}

/** A row that has all of these. */
const row = (...parts) => (screen) => screen.split('\n').some((line) => parts.every((part) => line.includes(part)));
const without = (text) => (screen) => !screen.includes(text);

async function play(node, terminal, alice, bob, uploads) {
  const start = (...args) => terminal.start([program, 'chat', ...args], alice.env, alice.home);
  writeFileSync(join(alice.home, 'notes.txt'), NOTES);
  writeFileSync(join(alice.home, 'film.mp4'), Buffer.alloc(6_000_000, 7));
  await start('--upload-provider', uploads.url);
  await terminal.see('Nobody to talk to yet');
  await terminal.see(row('●'));

  await bob.does('send', 'alice', 'hello from bob');
  await terminal.see('Requests (1)');
  await terminal.see(row('hello from bob', '1'));
  await keep(terminal, 'request');
  await terminal.press('Enter');
  await terminal.see('bob wants to talk');
  await keep(terminal, 'asked');
  await terminal.type('a');
  await terminal.see('Write a message');

  await terminal.type('hi bob');
  await terminal.press('Enter');
  await terminal.see(row('hi bob', '✓'));
  await bob.hears('alice', 'hi bob');

  await terminal.press('C-g');
  await terminal.see('New group');
  await terminal.type('Picnic');
  await terminal.press('Tab');
  await terminal.type('bob');
  await keep(terminal, 'new-group');
  await terminal.press('Enter');
  await terminal.see('Picnic · 2 members');
  await terminal.type('who brings the salt?');
  await terminal.press('Enter');
  await terminal.see(row('who brings the salt?', '✓'));

  await bob.does('send', 'alice', 'are you there?');
  await terminal.see(row('are you there?', '1'));
  await keep(terminal, 'unread');
  await terminal.press('M-Up');
  await terminal.see(/new ──/);
  await keep(terminal, 'read');

  await terminal.press('Up');
  await terminal.see(row('▌', 'are you there?'));
  await terminal.type('r');
  await terminal.see('reply to bob');
  await terminal.type('yes');
  await terminal.press('Enter');
  await terminal.see('┃ bob: are you there?');
  await terminal.see(row('yes', '✓'));

  await terminal.press('Up');
  await terminal.press('Up');
  await terminal.type('+');
  await terminal.see('React');
  await keep(terminal, 'react');
  await terminal.type('1');
  await terminal.see('👍 me');

  await terminal.press('Escape');
  await terminal.see('Enter send');
  await terminal.type('see you at noun');
  await terminal.press('Enter');
  await terminal.see(row('see you at noun', '✓'));
  await terminal.press('Up');
  await terminal.type('e');
  await terminal.see('edit: see you at noun');
  await terminal.press('BSpace', 'BSpace');
  await terminal.type('on');
  await terminal.press('Enter');
  await terminal.see('see you at noon (edited)');
  await keep(terminal, 'edited');

  await terminal.type('delete me');
  await terminal.press('Enter');
  await terminal.see(row('delete me', '✓'));
  await terminal.press('Up');
  await terminal.type('d');
  await terminal.see('for everybody?');
  await terminal.type('y');
  await terminal.see('message deleted');
  await terminal.see(without('delete me'));
  await terminal.press('Escape');
  await terminal.see('Enter send');

  await terminal.paste('one\ntwo');
  await terminal.see(row('two'));
  await terminal.press('Enter');
  await bob.hears('alice', 'one\ntwo');

  await bob.does('send', 'alice', '\u001b[31mred\u001b[2J');
  await terminal.see('\\u{1b}[31mred\\u{1b}[2J');
  await keep(terminal, 'conversation');

  await terminal.press('C-o');
  await terminal.see('Send a file');
  await terminal.type('notes.txt');
  await terminal.press('Enter');
  await terminal.see(row('[notes.txt (13 B)]', '✓'));
  await terminal.press('Up');
  await terminal.type('s');
  await terminal.see('Save the file');
  await terminal.press('C-u');
  await terminal.type('copy.txt');
  await terminal.press('Enter');
  await terminal.see('saved: copy.txt');
  const copy = readFileSync(join(alice.home, 'copy.txt'), 'utf8');
  if (copy !== NOTES) throw new Error(`the saved file says ${JSON.stringify(copy)}`);
  await terminal.press('Escape');

  // A large file goes beside what is said, and can be let go of.
  await terminal.press('C-o');
  await terminal.type('film.mp4');
  await terminal.press('Enter');
  await terminal.see(/↑ film.mp4 [1-9][0-9]* % of 6.1 MB, Ctrl-X cancels/);
  await keep(terminal, 'upload');
  await terminal.press('C-x');
  await terminal.see('cancelled');
  uploads.open = true;
  await terminal.press('C-o');
  await terminal.type('film.mp4');
  await terminal.press('Enter');
  await terminal.see(row('[film.mp4 (6.1 MB)]', '✓'));
  if (uploads.lengths.length !== 1) throw new Error(`uploaded: ${uploads.lengths}`);

  await bob.does('send', 'alice', 'wide 日本語 👍🏽 '.repeat(200));
  await terminal.see(/… .* more: Space shows all/);
  await keep(terminal, 'folded');
  await terminal.press('Up');
  await terminal.type('b');
  await terminal.see('Block bob?');
  await terminal.type('y');
  await terminal.see('You blocked bob. a accept again');
  await keep(terminal, 'blocked');
  await terminal.type('a');
  await terminal.see('Write a message');

  await terminal.press('C-f');
  await terminal.see('Search');
  await terminal.type('salt');
  await terminal.see(row('who brings the salt?'));
  await terminal.see('in Picnic');
  await keep(terminal, 'search');
  await terminal.press('Enter');
  await terminal.see('Picnic · 2 members');
  await terminal.see(row('▌', 'who brings the salt?'));

  await terminal.press('C-t');
  await terminal.see('super admin');
  await keep(terminal, 'group');
  await terminal.press('Down');
  await terminal.type('p');
  await terminal.see('Make bob an admin?');
  await terminal.type('y');
  await terminal.see(/bob .* admin │/);
  await terminal.type('d');
  await terminal.see('Take the role of admin from bob?');
  await terminal.type('y');
  await terminal.see((screen) => !/bob .* admin │/.test(screen) && screen.includes('p promote'));
  await terminal.type('m');
  await terminal.see('open to everybody');
  await terminal.type('2');
  await terminal.see('Let only admins');
  await terminal.type('y');
  await terminal.see(row('add members', 'admins'));
  await terminal.type('1');
  await terminal.type('y');
  await terminal.see(row('add members', 'everybody'));
  await terminal.press('Right');
  await terminal.see(row('add members', 'admins'));
  await terminal.see('the rule is changed');
  await terminal.type('t');
  await terminal.see('after how long');
  await terminal.type('12h');
  await terminal.press('Enter');
  await terminal.see('messages disappear after 12 hours');
  await keep(terminal, 'rules');
  await terminal.type('n');
  await terminal.see('Rename the group');
  await terminal.press('C-u');
  await terminal.type('Picnic by the lake');
  await terminal.press('Enter');
  // The page comes back, and shows what became of it.
  await terminal.see('┌ Picnic by the lake ─');
  await terminal.press('Escape');
  await terminal.see('You renamed the group');

  await terminal.resize(40, 12);
  await terminal.see(without('Conversations'));
  await keep(terminal, 'narrow');
  await terminal.resize(20, 5);
  await terminal.see((screen) => screen.split('\n').every((line) => line.length <= 20) && screen.includes('›'));
  await keep(terminal, 'tiny');
  await terminal.resize(80, 24);
  await terminal.see('Conversations');

  await node.stop();
  await terminal.see('offline');
  await terminal.press('Escape');
  await terminal.see('›');
  await terminal.type('written offline');
  await terminal.press('Enter');
  await terminal.see('not sent');
  await keep(terminal, 'offline');
  await node.start();
  await terminal.see(row('written offline', '✓'), 30);

  await terminal.press('Escape');
  await terminal.see('n new');
  await terminal.type('?');
  await terminal.see('this page');
  await keep(terminal, 'keys');
  await terminal.press('Escape');
  await terminal.see(without('this page'));
  await terminal.press('C-c');
  const code = await terminal.ended();
  if (code !== 0) throw new Error(`chat ended with ${code}\n${await terminal.screen()}`);
  if ((await terminal.ask('#{alternate_on}')) !== '0') throw new Error('the terminal was not given back');
  await terminal.close();

  // From a shell, which gets the terminal back for a while.
  await terminal.start(['bash', '--norc', '--noprofile', '-i'], { ...alice.env, PS1: 'shell> ' }, alice.home);
  await terminal.see('shell>');
  await terminal.type(`'${program}' chat --mouse`);
  await terminal.press('Enter');
  await terminal.see(row('●'));
  // A click on the second conversation; the wheel above its messages.
  await terminal.type('\u001b[<0;5;4M');
  await terminal.see(row('│ bob'));
  await terminal.see('Write a message');
  await terminal.type('\u001b[<64;50;10M');
  await terminal.see(/↓ \d+ more/);
  await terminal.press('C-z');
  await terminal.see('Stopped');
  if ((await terminal.ask('#{alternate_on}')) !== '0') throw new Error('the shell has no terminal');
  await terminal.type('fg');
  await terminal.press('Enter');
  await terminal.see('Write a message');
  await terminal.press('C-k');
  await terminal.type('picnic');
  await terminal.press('Enter');
  await terminal.see('Picnic by the lake · 2 members');
  await terminal.press('C-c');
  await terminal.see(/shell> *$/m);
  await terminal.close();

  // The window is closed.
  await start();
  await terminal.see(row('●'));
  process.kill(Number(await terminal.ask('#{pane_pid}')), 'SIGHUP');
  if ((await terminal.ended()) !== 0) throw new Error('chat did not end as it should when its window went');
  if ((await terminal.ask('#{alternate_on}')) !== '0') throw new Error('the terminal was not given back with the window');
  await terminal.close();

  // By name, without colours, and ended by a signal.
  await start('--no-color', 'bob');
  await terminal.see('Write a message');
  await terminal.see(row('│ bob'));
  if (/\x1b\[(3|4|9|10)[0-7]m/.test(await terminal.screen('-e'))) throw new Error('there are colours');
  process.kill(Number(await terminal.ask('#{pane_pid}')), 'SIGTERM');
  if ((await terminal.ended()) !== 0) throw new Error('chat did not end as it should after a signal');
  if ((await terminal.ask('#{alternate_on}')) !== '0') throw new Error('the terminal was not given back after a signal');
}

rmSync(pictures, { recursive: true, force: true });
mkdirSync(pictures, { recursive: true });
mkdirSync(join(TARGET, 'logs'), { recursive: true });
const place = mkdtempSync(join(tmpdir(), 'folkmoot-chat-'));
const terminal = new Terminal({ folder: place });
const node = new TestNode({ program, offset: await freeOffset(), name: 'chat-node' });
const uploads = new Uploads();
const began = Date.now();
try {
  await uploads.start();
  await node.start();
  const [alice, bob] = ['alice', 'bob'].map((name) => new Person(place, name));
  await Promise.all([alice, bob].map((person) => person.join(node.addresses.v3)));
  await alice.does('contacts', 'add', 'bob', bob.address);
  await bob.does('contacts', 'add', 'alice', alice.address);
  await play(node, terminal, alice, bob, uploads);
  console.log(`ok    chat in a terminal of 80x24: ${((Date.now() - began) / 1000).toFixed(1)} s`);
} catch (error) {
  console.log(`FAIL  chat: ${error?.stack ?? error}\n--- the node's last lines\n${node.tail()}`);
  process.exitCode = 1;
} finally {
  uploads.stop();
  await terminal.close();
  await stopAll();
  rmSync(place, { recursive: true, force: true });
}
