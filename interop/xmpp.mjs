// Another project's XMPP client against a real `folkmoot dev`.
//
//   node interop/xmpp.mjs [--program target/release/folkmoot] [--only TEXT] [--results FILE]
//
// The client is slixmpp (PyPI); what it does is in `xmpp/scenarios.py`. It is installed below target/interop.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { TARGET, slixmpp } from './lib/install.mjs';
import { TestNode } from './lib/node.mjs';
import { freeOffset } from './lib/ports.mjs';
import { run, stopAll } from './lib/processes.mjs';

const { values: options } = parseArgs({
  options: {
    program: { type: 'string', default: 'target/release/folkmoot' },
    only: { type: 'string', default: '' },
    results: { type: 'string' },
  },
});

let failed = false;
const missing = [];
try {
  mkdirSync(join(TARGET, 'logs'), { recursive: true });
  const library = await slixmpp().catch((error) => {
    missing.push(`xmpp: slixmpp cannot be installed, python3 with pip does it: ${error.message.split('\n')[0]}`);
  });
  const node = new TestNode({ program: resolve(options.program), offset: await freeOffset(), name: 'xmpp' });
  await node.start();
  if (library) {
    const args = [join('interop/xmpp', 'scenarios.py'), node.addresses.xmpp, node.addresses.xmpps, options.only];
    const env = { ...process.env, PYTHONPATH: library, PYTHONDONTWRITEBYTECODE: '1' };
    process.stdout.write(await run('python3', args, { env }));
  }
  await node.stop();
} catch (error) {
  failed = true;
  console.log(String(error?.stack ?? error));
} finally {
  await stopAll();
}
for (const what of missing) console.log(`skipped    ${what}`);
if (options.results) writeFileSync(options.results, JSON.stringify({ missing }, null, 2));
process.exit(failed ? 1 : 0);
