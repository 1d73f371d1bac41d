// Two official clients say hello through a node that is already running, one over each API:
//   cargo run --release -- dev          in one terminal
//   node interop/hello.mjs              in another

import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { nativeActor } from './lib/actors.mjs';
import { TARGET, node22, packages } from './lib/install.mjs';
import { World } from './lib/world.mjs';

const [host = '127.0.0.1'] = process.argv.slice(2);
const addresses = { v3: `http://${host}:5556`, gateway: `http://${host}:5052` };

console.log('installing the official node SDK below target/interop (once)');
await packages();
mkdirSync(join(TARGET, 'logs'), { recursive: true });

const world = new World({
  suite: { sdk: 'node5', api: 'v3' },
  hosts: { open: () => nativeActor({ node: node22(), sdk: 'node-sdk-5', log: join(TARGET, 'logs/hello.log') }) },
  node: { addresses },
  seed: randomBytes(16).toString('hex'),
});
try {
  const alice = await world.person('alice', { api: 'v3' });
  const bob = await world.person('bob', { api: 'd14n' });
  for (const [one, api] of [[alice, 'v3'], [bob, 'd14n']]) {
    console.log(`${one.who}: inbox ${one.inbox}, libxmtp ${one.version.split(' ')[0]}, ${api} API`);
  }
  await bob.listen();
  await alice.listen();
  const dm = await alice.dm(bob);
  await alice.say(dm, 'Hello Bob!');
  const [heard] = await bob.heard(1);
  console.log(`bob hears:   ${heard?.text ?? '(nothing)'}`);
  await bob.say(dm, 'Hello Alice, I came in through the other door.');
  const answer = (await alice.heard(2))[1];
  console.log(`alice hears: ${answer?.text ?? '(nothing)'}`);
  process.exitCode = heard && answer ? 0 : 1;
} catch (error) {
  console.error(`${error.message.split('\n')[0]}\nis a node running? start one with: cargo run --release -- dev`);
  process.exitCode = 1;
} finally {
  await world.close();
}
