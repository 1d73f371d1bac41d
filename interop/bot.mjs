// A bot of ours among people with official SDKs: what it says reaches them, what they do reaches
// it, and when it is killed in the middle of a conversation nobody is answered twice or not at all.
//
//   node interop/bot.mjs [--program target/release/folkmoot]

import { deepStrictEqual, strictEqual } from 'node:assert';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { nativeActor } from './lib/actors.mjs';
import { TARGET, node22, nodeForNewestSdk, packages } from './lib/install.mjs';
import { TestNode } from './lib/node.mjs';
import { freeOffset } from './lib/ports.mjs';
import { run, start, stop, stopAll, tail } from './lib/processes.mjs';
import { eventually } from './lib/time.mjs';
import { World } from './lib/world.mjs';

const { values: options } = parseArgs({
  options: { program: { type: 'string', default: 'target/release/folkmoot' } },
});
const program = resolve(options.program);

/** Does what it is told, and greets who comes; acknowledges what it has worked on. */
const BOT = `
import { createInterface } from 'node:readline';
const say = (line) => console.log(JSON.stringify(line));
for await (const line of createInterface({ input: process.stdin })) {
  const event = JSON.parse(line);
  const { id, conversationId, messageId, text } = event;
  if (event.type === 'member_joined') say({ type: 'send', id: 'hello-' + id, conversationId, text: 'Hello!' });
  if (event.type === 'reaction') say({ type: 'send', id, conversationId, text: 'thanks for ' + event.emoji });
  if (event.type === 'group_updated') say({ type: 'send', id, conversationId, text: event.changes.metadataFieldChanges[0].newValue });
  if (event.type === 'message') {
    if (text === 'react') say({ type: 'react', id, messageId, emoji: '👍' });
    else if (text === 'file') say({ type: 'attach', id, conversationId, data: 'AP8=', filename: 'a.bin', mimeType: 'application/x-test' });
    else if (text === 'leave') say({ type: 'leave', id, conversationId });
    else if (text) say({ type: 'reply', id, messageId, text: 'You said: ' + text });
  }
  if (event.type === 'error') console.error(line);
  if (id && !['sent', 'error'].includes(event.type)) say({ ack: id });
}
`;

const home = mkdtempSync(join(tmpdir(), 'folkmoot-bot-'));
const log = join(TARGET, 'logs/bot.log');
const env = { PATH: process.env.PATH, HOME: home };

const startBot = () =>
  start(program, ['bot', 'run', '--ack', 'bot', '--', process.execPath, 'bot.mjs'], { log, env, cwd: home });

console.log('installing the official node SDKs below target/interop (once)');
await packages();
mkdirSync(join(TARGET, 'logs'), { recursive: true });
rmSync(log, { force: true });
writeFileSync(join(home, 'bot.mjs'), BOT);
const newest = await nodeForNewestSdk();
if (newest.missing) console.log(`without ${newest.missing}`);
const sdks = { node5: ['node-sdk-5', node22()], node6: ['node-sdk-6', newest.node] };
const node = new TestNode({ program, offset: await freeOffset(), name: 'bot-node' });
let world;
let failure;
try {
  await node.start();
  const open = (sdk) => nativeActor({ sdk: sdks[sdk][0], node: sdks[sdk][1], log: join(TARGET, `logs/bot-${sdk}.log`) });
  const suite = { sdk: newest.missing ? 'node5' : 'node6', api: 'v3' };
  world = new World({ suite, hosts: { open }, node, seed: `bot ${Date.now()}` });
  const [alice, carol] = await Promise.all([world.person('alice'), world.person('carol', { sdk: 'node5', api: 'd14n' })]);

  await run(program, ['xmtp', 'init', '--node', node.addresses.v3], { cwd: home, env });
  const { inboxId: inbox } = JSON.parse(await run(program, ['whoami', '--json'], { cwd: home, env }));
  let bot = startBot();

  /** Waits until `who` sees, in this conversation, a message of the bot for which `wanted` is true. */
  const sees = (who, id, what, wanted) =>
    eventually(`${who.who} sees ${what}`, 30, async () => {
      await who.sync();
      if (!(await who.conversations()).some((one) => one.id === id)) return undefined;
      return (await who.read(id)).messages.find((message) => message.from === inbox && wanted(message));
    });
  const says = (who, id, text) => sees(who, id, text, (message) => message.text === text);

  for (const who of [alice, carol]) {
    const dm = await who.dm({ inbox });
    await says(who, dm, 'Hello!');
    const question = await who.say(dm, 'at noon?');
    const answer = await says(who, dm, 'You said: at noon?');
    strictEqual(answer.type, 'reply');
    strictEqual(answer.to, question);
    console.log(`ok  a DM with ${who.sdk} over ${who.api}`);
  }

  const group = await alice.group([carol, { inbox }], { name: 'picnic' });
  await says(carol, group, 'Hello!');
  await carol.say(group, 'file');
  const file = await sees(alice, group, 'a file', (message) => message.type === 'attachment');
  deepStrictEqual(file.content, { type: 'attachment', filename: 'a.bin', mimeType: 'application/x-test', data: '0x00ff' });
  const thumb = await alice.say(group, 'react');
  await eventually('carol sees a reaction', 30, async () => {
    const message = (await carol.read(group)).messages.find(({ id }) => id === thumb);
    return message?.reactions.some(({ from, emoji }) => from === inbox && emoji === '👍');
  });
  await carol.react(group, file, '🧺');
  await says(alice, group, 'thanks for 🧺');
  await alice.update(group, { name: 'by the lake' });
  await says(carol, group, 'by the lake');
  console.log('ok  a group: a file, reactions, a new name');

  for (let round = 1; round <= 3; round += 1) {
    const texts = [1, 2, 3].map((number) => `${round}.${number}`);
    await alice.sayAll(group, texts);
    // In the middle of an answer, or before one, or after one.
    if (round > 1) await says(carol, group, `You said: ${round}.1`);
    await stop(bot, { signal: 'SIGKILL' });
    bot = startBot();
    for (const text of texts) await says(carol, group, `You said: ${text}`);
    const answers = (await carol.read(group)).messages.filter(({ from, text }) => from === inbox && text?.startsWith(`You said: ${round}.`));
    deepStrictEqual(answers.map(({ text }) => text), texts.map((text) => `You said: ${text}`));
  }
  console.log('ok  killed three times: each question has one answer, in order');

  await alice.say(group, 'leave');
  await eventually('the bot is out of the group', 60, async () => {
    await alice.sync();
    return !(await alice.read(group)).members.includes(inbox);
  });
  console.log('ok  the bot left the group');
  strictEqual(await stop(bot), 'exit 0', 'how the bot ended');
} catch (error) {
  failure = error;
  console.log(`FAIL ${error.stack}\n--- the bot's last lines\n${tail(log, 20)}\n--- the node's last lines\n${node.tail()}`);
} finally {
  await world?.close();
  await stopAll();
  rmSync(home, { recursive: true, force: true });
}
process.exitCode = failure ? 1 : 0;
