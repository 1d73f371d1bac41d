// Our command line beside the official one: both look at the same conversations, and what they
// print must have the same fields with the same kinds of values.
//
//   node interop/cli.mjs [--program target/release/folkmoot] [--results FILE]
//
// The official program with these commands (0.2.0) is not in the npm registry; its commands print
// fields of the official SDK's objects, and those are taken from the SDK itself (`actor/shapes.mjs`).
// The published @xmtp/cli is an older program with other commands; where it has the command, it is
// run: its keys file is read by ours, and what it sends is read by ours.

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

import { TARGET, node22, nodeForNewestSdk, packages, publishedProgram } from './lib/install.mjs';
import { TestNode } from './lib/node.mjs';
import { freeOffset } from './lib/ports.mjs';
import { run, start, stopAll } from './lib/processes.mjs';

const { values: options } = parseArgs({
  options: { program: { type: 'string', default: 'target/release/folkmoot' }, results: { type: 'string' } },
});
const program = resolve(options.program);

/** The kinds of values in a value: objects by field, lists by what their items have in common. */
function shape(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? [] : [value.map(shape).reduce(merge)];
  if (typeof value !== 'object') return typeof value;
  const fields = Object.entries(value).map(([name, one]) => [/^[0-9a-f]{32,}$/.test(name) ? '<id>' : name, shape(one)]);
  return fields.every(([name]) => /^\d+$/.test(name)) && fields.length > 0 ? '<bytes>' : Object.fromEntries(fields);
}

function merge(one, two) {
  if (typeof one !== 'object' || typeof two !== 'object' || Array.isArray(one) !== Array.isArray(two)) {
    return JSON.stringify(one) === JSON.stringify(two) ? one : `${JSON.stringify(one)} or ${JSON.stringify(two)}`;
  }
  if (Array.isArray(one)) return one.length && two.length ? [merge(one[0], two[0])] : one.length ? one : two;
  const merged = { ...one };
  for (const [name, kind] of Object.entries(two)) merged[name] = name in one ? merge(one[name], kind) : kind;
  return merged;
}

/** Where two shapes differ: paths with both kinds. */
function differences(official, ours, path = '') {
  const both = typeof official === 'object' && typeof ours === 'object' && Array.isArray(official) === Array.isArray(ours);
  if (!both) return official === ours ? [] : [`${path}: ${JSON.stringify(official)} there, ${JSON.stringify(ours)} here`];
  if (Array.isArray(official)) {
    return official.length && ours.length ? differences(official[0], ours[0], `${path}[]`) : [];
  }
  const names = new Set([...Object.keys(official), ...Object.keys(ours)]);
  return [...names].flatMap((name) => differences(official[name], ours[name], `${path}.${name}`));
}

/** A person with our program. */
class Ours {
  constructor() {
    this.home = mkdtempSync(join(tmpdir(), 'folkmoot-cli-'));
  }

  async text(...args) {
    const env = { PATH: process.env.PATH, HOME: this.home };
    return run(program, args, { cwd: this.home, env });
  }

  async json(...args) {
    return JSON.parse(await this.text('xmtp', ...args, '--json'));
  }
}

/** The official SDK in a process of its own. */
async function official(node, apiUrl, home) {
  const key = `0x${randomBytes(32).toString('hex')}`;
  const args = [join(TARGET, 'actor/shapes.mjs'), 'node-sdk-6', apiUrl, key, join(home, 'official.db3')];
  const handle = start(node, args, { log: join(TARGET, 'logs/cli-official.log'), pipe: true, cwd: TARGET });
  const waiting = new Map();
  let number = 0;
  const ready = new Promise((done, failed) => {
    createInterface({ input: handle.child.stdout }).on('line', (line) => {
      let reply;
      try {
        reply = JSON.parse(line);
      } catch {
        return; // something the SDK printed
      }
      if (reply.ready) return done();
      const call = waiting.get(reply.number);
      if (reply.error) call?.failed(new Error(reply.error));
      else call?.done(reply.result);
    });
    handle.ended.then((how) => failed(new Error(`the official client ended: ${how}`)));
  });
  await ready;
  return (command, ...rest) =>
    new Promise((done, failed) => {
      number += 1;
      waiting.set(number, { done, failed });
      handle.child.stdin.write(`${JSON.stringify({ number, command, args: rest })}\n`);
    });
}

const results = { equal: 0, different: [], missing: [] };

/** Says that a part cannot be compared. */
function skip(what) {
  console.log(`skipped    ${what}`);
  results.missing.push(what);
}

/** Fields that only our program has, by command. */
const ADDED = { get: ['.trouble'] };

function compare(command, theirs, mine) {
  const found = differences(shape(theirs), shape(mine)).filter(
    (difference) => !(ADDED[command] ?? []).some((path) => difference.startsWith(`${path}:`)),
  );
  if (found.length === 0) {
    results.equal += 1;
    console.log(`equal      ${command}`);
    return;
  }
  results.different.push(command);
  console.log(`DIFFERENT  ${command}`);
  for (const difference of found) console.log(`           ${difference}`);
}

/** Every command that shows something, on a conversation that both are in. */
async function compareAll(alice, bob) {
  const [self, info] = [await alice('self'), await bob.json('client', 'info')];
  const { address, inboxId } = info.properties;
  const dm = await alice('create-dm', address);
  const group = await alice('create-group', address, 'picnic');
  await alice('say', group.id, 'at noon');
  await bob.json('conversations', 'sync-all');
  compare('create-dm', dm, await bob.json('conversations', 'create-dm', self.address));
  compare('create-group', group, await bob.json('conversations', 'create-group', self.address, '--name', 'picnic'));

  const [noon] = await bob.json('conversation', 'messages', group.id, '--content-type', 'text');
  await bob.json('conversation', 'send-reply', group.id, noon.id, 'at one');
  await bob.json('conversation', 'send-reaction', group.id, noon.id, 'add', '👍');
  await bob.json('conversation', 'send-markdown', group.id, '**at** two');
  await bob.json('conversation', 'send-actions', group.id, 'Where?', 'lake=The lake', 'hill=The hill');
  await bob.json('conversation', 'send-read-receipt', group.id);
  await alice('sync-all');

  compare('sync-all', await alice('sync-all'), { numGroupsSynced: (await bob.json('conversations', 'sync-all')).numGroupsSynced });
  compare('list', await alice('list'), await bob.json('conversations', 'list'));
  compare('get', await alice('get', group.id), await bob.json('conversations', 'get', group.id));
  compare('get', await alice('get', dm.id), await bob.json('conversations', 'get', dm.id));
  compare('get-message', await alice('get-message', noon.id), await bob.json('conversations', 'get-message', noon.id));
  compare('hmac-keys', await alice('hmac-keys'), await bob.json('conversations', 'hmac-keys'));
  // Who joins later has no message about the making of the group: compare type by type.
  const byType = (messages) => {
    const groups = {};
    for (const one of messages) (groups[one.contentType.typeId] ??= []).push(one);
    return groups;
  };
  const [theirs, mine] = [byType(await alice('messages', group.id)), byType(await bob.json('conversation', 'messages', group.id))];
  for (const type of Object.keys(mine)) {
    if (theirs[type]) compare(`messages (${type})`, theirs[type], mine[type]);
  }
  compare('members', await alice('members', group.id), await bob.json('conversation', 'members', group.id));
  compare('permissions', await alice('permissions', group.id), await bob.json('conversation', 'permissions', group.id));
  compare('consent-state', await alice('consent-state', group.id), await bob.json('conversation', 'consent-state', group.id));
  compare('debug-info', await alice('debug-info', group.id), await bob.json('conversation', 'debug-info', group.id));
  compare('inbox-states', await alice('inbox-states', inboxId), await bob.json('inbox-states', inboxId));
  compare(
    'key-package-status',
    await alice('key-package-status', self.installationId),
    await bob.json('client', 'key-package-status', '-i', self.installationId),
  );
}

/** The published program makes keys, and sends; ours takes the keys, and reads. */
async function published(node, gateway, bob) {
  const entry = await publishedProgram();
  const home = mkdtempSync(join(tmpdir(), 'folkmoot-cli-'));
  const env = { PATH: process.env.PATH, HOME: home, XMTP_GATEWAY_HOST: gateway, XMTP_ENV: 'local', XMTP_DB_DIRECTORY: home };
  const xmtp = (...args) => run(node, [entry, ...args], { cwd: home, env });
  await xmtp('init', '--ephemeral', '--env', 'local');
  const keys = readFileSync(join(home, '.env'), 'utf8');
  const key = /^XMTP_WALLET_KEY=(0x[0-9a-f]{64})$/m.exec(keys)?.[1];
  if (!key) throw new Error('the published program wrote no wallet key');
  const { address } = (await bob.json('client', 'info')).properties;
  await xmtp('send', '--target', address, '--message', 'from the published program');
  await bob.json('conversations', 'sync-all');
  const list = await bob.json('conversations', 'list', '--type', 'dm');
  for (const dm of list) {
    const messages = await bob.json('conversation', 'messages', dm.id);
    if (messages.some((one) => one.content === 'from the published program')) {
      console.log('equal      send (published program)');
      results.equal += 1;
      rmSync(home, { recursive: true });
      return;
    }
  }
  results.different.push('send (published program)');
}

console.log('installing the official node SDK below target/interop (once)');
await packages();
mkdirSync(join(TARGET, 'logs'), { recursive: true });
const newest = await nodeForNewestSdk();
const node = new TestNode({ program, offset: await freeOffset(), name: 'cli-node' });
const bob = new Ours();
try {
  await node.start();
  const { v3, gateway } = node.addresses;
  await bob.text('xmtp', 'init', '--node', v3);
  if (newest.missing) skip(`the official SDK: ${newest.missing}`);
  else await compareAll(await official(newest.node, v3, bob.home), bob);
  try {
    await published(newest.node ?? node22(), gateway, bob);
  } catch (error) {
    skip(`the published program: ${String(error.message).split('\n').slice(0, 4).join(' | ')}`);
  }
} finally {
  await stopAll();
  rmSync(bob.home, { recursive: true, force: true });
}
if (options.results) writeFileSync(options.results, `${JSON.stringify(results, null, 2)}\n`);
console.log(`${results.equal} equal, ${results.different.length} different`);
process.exitCode = results.different.length === 0 && results.equal > 0 ? 0 : 1;
