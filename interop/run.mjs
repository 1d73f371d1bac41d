// Runs official XMTP SDKs and our own client against a real node. See README.md; `--help` lists
// the options.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { encounters } from './encounters.mjs';
import { browser, nativeActor, ourActor } from './lib/actors.mjs';
import { Chain, PUBLIC_CHAIN, TEST_CHAIN } from './lib/chain.mjs';
import { TARGET, chromium, node22, nodeForNewestSdk, ourClient, packages, page } from './lib/install.mjs';
import { TestNode } from './lib/node.mjs';
import { freeOffset } from './lib/ports.mjs';
import { stopAll, tail } from './lib/processes.mjs';
import { within } from './lib/time.mjs';
import { World } from './lib/world.mjs';
import { meetings, scenarios } from './scenarios.mjs';

const HELP = `node interop/run.mjs [options]
  --program FILE     the folkmoot program (target/release/folkmoot)
  --client FILE      the program around our client (target/release/client-actor)
  --only TEXT        only what has TEXT in "SDK API scenario", for example "node6 v3 burst"
  --pair A+B         who meets whom, for example node6+node5, to see what is usual among official SDKs
  --full             the long forms: many rounds of the bursts, groups of 250, all of every pair
  --rounds N         N rounds of every scenario
  --port-offset N    shift the node's ports (0, or the first free offset)
  --lanes N          N suites at a time, each on a node of its own (2; 1 with --full)
  --no-evm           do not start an Ethereum chain; skips the contract wallets
  --results FILE     where to leave the results as JSON
  --seed TEXT        what the wallets' keys are derived from (the time)`;

const { values: options } = parseArgs({
  options: {
    program: { type: 'string', default: 'target/release/folkmoot' },
    client: { type: 'string' },
    only: { type: 'string' },
    pair: { type: 'string' },
    full: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    'port-offset': { type: 'string' },
    lanes: { type: 'string' },
    'no-evm': { type: 'boolean', default: false },
    results: { type: 'string' },
    seed: { type: 'string', default: String(Date.now()) },
    help: { type: 'boolean', default: false },
  },
});

const say = (text) => console.log(text);
const secondsSince = (began) => (Date.now() - began) / 1000;
const message = (error) => String(error?.stack ?? error);

/** Hosts by SDK; each is opened on first use and knows how to open actors. */
async function prepareHosts(env, missing) {
  const log = (name) => join(TARGET, 'logs', `${name}.log`);
  const openers = new Map();
  openers.set('node5', () => nativeActor({ node: node22(), sdk: 'node-sdk-5', log: log('node5'), env }));
  const newest = await nodeForNewestSdk();
  if (newest.missing) missing.push(newest.missing);
  else openers.set('node6', () => nativeActor({ node: newest.node, sdk: 'node-sdk-6', log: log('node6'), env }));
  const ours = ourClient(resolve(options.client ?? 'target/release/client-actor'));
  if (ours.missing && options.client) missing.push(ours.missing);
  else if (ours.missing) say(`without ${ours.missing}`);
  else openers.set('ours', () => ourActor({ program: ours.actor, log: log('ours'), env }));
  const found = chromium();
  let window;
  if (found.missing) {
    missing.push(found.missing);
  } else {
    const folder = await page();
    window = () => (window.opened ??= browser({ chromium: found.chromium, folder, log: log('browser') }));
    openers.set('browser', async () => (await window()).actor());
  }
  return {
    sdks: [...openers.keys()],
    log,
    open: (sdk) => openers.get(sdk)(),
    close: async () => (await window?.opened)?.close(),
  };
}

/** The chains, as `{ test, public }`, unless the options say none. */
async function startChains(missing) {
  if (options['no-evm']) return {};
  const [test, other] = await Promise.all([Chain.start(TEST_CHAIN), Chain.start(PUBLIC_CHAIN)]);
  if (test.port !== TEST_CHAIN.port) {
    missing.push(`browser d14n: contract wallets: the SDK looks for a chain on port ${TEST_CHAIN.port}, and something else is there`);
  }
  return { test, public: other };
}

/** The chain on which people of this suite have their contract wallets, if any. */
function chainFor({ sdk, api }, chains) {
  if (api === 'd14n' && sdk === 'node5') return chains.public;
  if (api === 'd14n' && sdk === 'browser' && chains.test?.port !== TEST_CHAIN.port) return undefined;
  return chains.test;
}

/** Runs one scenario, all its rounds; gives `{ outcome, seconds, notes }`. */
async function play(suite, scenario, { hosts, node, chain, parties }) {
  const label = `${suite.name} ${scenario.name}`;
  const rounds = Number(options.rounds ?? scenario.rounds?.[options.full ? 'full' : 'short'] ?? 1);
  const began = Date.now();
  let notes = [];
  for (let round = 1; round <= rounds; round += 1) {
    const seed = `${options.seed} ${label} ${round}`;
    const world = new World({ suite, hosts, node, chain, seed, full: options.full });
    world.round = round;
    world.parties = parties;
    try {
      if (!node.alive) await node.start();
      await within((scenario.seconds ?? 60) * 1000, label, scenario.run(world));
      notes = world.notes;
      if (rounds > 10 && round % 10 === 0) say(`      ${label}: round ${round} of ${rounds}, ${secondsSince(began).toFixed(0)} s`);
    } catch (error) {
      const where = rounds > 1 ? ` (round ${round} of ${rounds})` : '';
      say(`FAIL  ${label}${where} after ${secondsSince(began).toFixed(1)} s\n${message(error)}`);
      say(`--- the node's last lines\n${node.tail()}`);
      for (const sdk of hosts.sdks) {
        const lines = tail(hosts.log(sdk), 8);
        if (lines) say(`--- ${sdk}'s last lines\n${lines}`);
      }
      say(`--- again: node interop/run.mjs --seed '${options.seed}' --only '${label}'`);
      return { outcome: 'FAIL', seconds: secondsSince(began), notes };
    } finally {
      await within(10_000, 'closing', world.close()).catch((error) => say(`note: ${error.message}`));
    }
  }
  if (rounds > 1) notes.push(`${rounds} rounds`);
  const seconds = secondsSince(began);
  say(`ok    ${label} ${seconds.toFixed(1)} s${notes.length ? ` (${notes.join(', ')})` : ''}`);
  return { outcome: 'pass', seconds, notes };
}

/**
 * Ours with each official SDK, each of the two first. The short form does all with the newest SDK
 * for Node.js and with pages over v3, and a few with the others.
 */
function pairs(sdks) {
  const suite = (sdk, other, api, few = false) => {
    const can = (one) => [sdk, other].every((make) => !one.without?.includes(make) && (make !== 'browser' || one.pages !== false));
    const wanted = (one) => options.full || options.only?.includes(one.name) || (!one.long && (!few || one.few));
    return { name: `${sdk}+${other} ${api}`, sdk, other, api, scenarios: encounters.filter((one) => can(one) && wanted(one)) };
  };
  const both = ['v3', 'd14n'];
  if (options.pair) {
    const [sdk, other] = options.pair.split('+');
    return both.map((api) => suite(sdk, other, api));
  }
  if (!sdks.includes('ours')) return [];
  const few = (other, api) => other === 'node5' || (other === 'browser' && api === 'd14n');
  const official = sdks.filter((sdk) => sdk !== 'ours');
  return official.flatMap((other) =>
    both.flatMap((api) => [['ours', other], [other, 'ours']].map(([sdk, second]) => suite(sdk, second, api, few(other, api)))),
  );
}

/** A plain table: one row per scenario, one column per SDK and API. */
function table(columns, rows, cell) {
  const width = Math.max(...rows.map((row) => row.length));
  const widths = columns.map((column) => Math.max(column.length, 11));
  const line = (first, cells) =>
    [first.padEnd(width), ...cells.map((text, index) => text.padEnd(widths[index]))].join('  ').trimEnd();
  const ruler = line('-'.repeat(width), widths.map((size) => '-'.repeat(size)));
  const body = rows.map((row) => line(row, columns.map((column) => cell(row, column))));
  return [line('', columns), ruler, ...body].join('\n');
}

async function main() {
  const missing = [];
  say('preparing: packages, libraries, page');
  const logs = join(TARGET, 'logs');
  rmSync(logs, { recursive: true, force: true });
  mkdirSync(logs, { recursive: true });
  await packages();
  const chains = await startChains(missing);
  const env = chains.test ? { ANVIL_URL: chains.test.url, [`CHAIN_RPC_${chains.public.id}`]: chains.public.url } : {};
  const hosts = await prepareHosts(env, missing);
  const both = ['v3', 'd14n'];
  const suites = hosts.sdks.flatMap((sdk) => both.map((api) => ({ name: `${sdk} ${api}`, sdk, api, scenarios })));
  const parties = suites.map(({ sdk, api }) => ({ sdk, api }));
  if (parties.length) suites.push({ name: 'mixed', ...parties[0], scenarios: meetings, parties });
  suites.push(...pairs(hosts.sdks));

  const chosen = (suite) => {
    const chain = chainFor(suite, chains);
    return suite.scenarios.filter((scenario) => {
      if (options.only && !`${suite.name} ${scenario.name}`.includes(options.only)) return false;
      if (scenario.needs === 'chain' && !chain) return false;
      return scenario.needs !== 'ours' || hosts.sdks.includes('ours');
    });
  };
  const waiting = suites.filter((suite) => chosen(suite).length > 0);
  const nodes = [];
  const most = Number(options.lanes ?? (options.full || options['port-offset'] !== undefined ? 1 : 2));
  while (nodes.length < Math.min(most, waiting.length)) {
    const offset = options['port-offset'] === undefined ? await freeOffset() : Number(options['port-offset']);
    const name = nodes.length ? `node-${nodes.length + 1}` : 'node';
    const node = new TestNode({ program: resolve(options.program), offset, evm: Object.values(chains).map((chain) => chain.option), name });
    say(`the ${name} was ready in ${await node.start()} ms, ports shifted by ${offset}`);
    nodes.push(node);
  }

  const results = [];
  // Scenarios of a suite follow each other; suites share nothing but the machine.
  const lane = async (node) => {
    for (let suite = waiting.shift(); suite; suite = waiting.shift()) {
      for (const scenario of chosen(suite)) {
        const result = await play(suite, scenario, { hosts, node, chain: chainFor(suite, chains), parties: suite.parties });
        results.push({ suite: suite.name, scenario: scenario.name, ...result });
      }
    }
    await node.stop();
  };
  await Promise.all(nodes.map(lane));
  await Promise.all(Object.values(chains).map((chain) => chain.stop()));
  await hosts.close();

  const at = (row, column) => results.find((one) => one.scenario === row && one.suite === column);
  const columns = suites.map((suite) => suite.name).filter((name) => results.some((one) => one.suite === name));
  const cell = (row, column) => {
    const result = at(row, column);
    return result ? `${result.outcome} ${result.seconds.toFixed(1)} s` : '';
  };
  for (const group of [scenarios, meetings, encounters]) {
    const of = columns.filter((name) => suites.find((suite) => suite.name === name).scenarios.some((one) => group.includes(one)));
    const rows = group.map((one) => one.name).filter((row) => of.some((column) => at(row, column)));
    if (rows.length) say(`\n${table(of, rows, cell)}\n`);
  }
  for (const what of missing) say(`SKIPPED: ${what}`);
  const failed = results.filter((one) => one.outcome === 'FAIL').length;
  say(`${results.length - failed} scenarios passed, ${failed} failed, ${missing.length} parts skipped`);
  if (options.results) writeFileSync(options.results, `${JSON.stringify({ results, missing }, null, 2)}\n`);
  return failed === 0 && results.length > 0 ? 0 : 1;
}

if (options.help) {
  say(HELP);
} else {
  const code = await main().catch((error) => {
    say(message(error));
    return 1;
  });
  await stopAll();
  process.exit(code);
}
