// A native SDK as a child process: one JSON request per line comes in, one reply per line goes
// out. Requests run side by side; the number tells which reply belongs to which.

import { createInterface } from 'node:readline';

import { asJson, operations } from './ops.mjs';

const sdk = await import(process.argv[2]);
const ops = operations(sdk);
const say = (reply) => process.stdout.write(`${asJson(reply)}\n`);

const requests = createInterface({ input: process.stdin });
requests.on('line', async (line) => {
  const { number, name, args } = JSON.parse(line);
  try {
    say({ number, result: (await ops[name](args)) ?? null });
  } catch (error) {
    say({ number, error: String(error?.stack ?? error) });
  }
});
requests.on('close', () => process.exit(0));
say({ ready: true });
