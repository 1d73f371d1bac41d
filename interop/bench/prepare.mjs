// Installs what the official side of `folkmoot bench client --against official` needs, and says
// on one line how it is started: `{ program, arguments }`, or `{ missing }`.

import { cpSync } from 'node:fs';
import { join } from 'node:path';

import { SOURCE, TARGET, nodeForNewestSdk, packages } from '../lib/install.mjs';

await packages();
const { node, missing } = await nodeForNewestSdk();
// Packages are found from where the script lies.
const driver = join(TARGET, 'bench-driver.mjs');
cpSync(join(SOURCE, 'bench/driver.mjs'), driver);
const answer = missing ? { missing } : { program: node, arguments: ['--expose-gc', driver] };
process.stdout.write(`${JSON.stringify(answer)}\n`);
