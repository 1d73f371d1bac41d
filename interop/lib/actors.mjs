// The hosts of clients: a Node.js process for a native SDK, a program for our own client, a page
// in headless Chromium for the browser SDK. All answer `call(name, args)`.

import { appendFileSync, createReadStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { createInterface } from 'node:readline';

import { TARGET, load } from './install.mjs';
import { start, stop } from './processes.mjs';

/** A native SDK in a process of its own. */
export function nativeActor({ node, sdk, log, env }) {
  return processActor({ program: node, args: [join(TARGET, 'actor/node.mjs'), sdk], name: sdk, log, env });
}

/** Our client in a process of its own. */
export function ourActor({ program, log, env }) {
  return processActor({ program, args: [], name: 'client-actor', log, env });
}

/** A process that takes a request per line and answers each with a line. */
async function processActor({ program, args, name: sdk, log, env }) {
  const handle = start(program, args, { log, pipe: true, cwd: TARGET, env });
  const waiting = new Map();
  let number = 0;
  const ready = new Promise((resolve, reject) => {
    createInterface({ input: handle.child.stdout }).on('line', (line) => {
      let reply;
      try {
        reply = JSON.parse(line);
      } catch {
        return void appendFileSync(log, `${line}\n`); // something the SDK printed
      }
      if (reply.ready) return resolve();
      const call = waiting.get(reply.number);
      waiting.delete(reply.number);
      if (reply.error) call?.reject(new Error(reply.error));
      else call?.resolve(reply.result);
    });
    handle.ended.then((how) => {
      const error = new Error(`the ${sdk} process ended: ${how}`);
      for (const call of waiting.values()) call.reject(error);
      reject(error);
    });
  });
  // A request may be written just when the process ends; `ended` reports that.
  handle.child.stdin.on('error', () => {});
  await ready;
  return {
    call(name, args) {
      if (handle.over) return Promise.reject(new Error(`the ${sdk} process has ended`));
      number += 1;
      return new Promise((resolve, reject) => {
        waiting.set(number, { resolve, reject });
        handle.child.stdin.write(`${JSON.stringify({ number, name, args })}\n`);
      });
    },
    /** Ends it at once, in the middle of whatever it does. */
    kill() {
      return stop(handle, { signal: 'SIGKILL' });
    },
    async close() {
      handle.child.stdin.end();
      await stop(handle, { patience: 3000 });
    },
  };
}

const MEDIA_TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };

/** Serves the bundled page, isolated as the SDK's shared memory and file system want it. */
function serve(folder) {
  const server = createServer((request, response) => {
    let file = join(folder, normalize(new URL(request.url, 'http://page').pathname));
    if (file.endsWith('/')) file = join(file, 'index.html');
    if (!extname(file)) file += '.js'; // the SDK names its workers without an ending
    if (!file.startsWith(folder) || !statSync(file, { throwIfNoEntry: false })?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      'content-type': MEDIA_TYPES[extname(file)] ?? 'application/octet-stream',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    });
    createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve({ server, url: `http://localhost:${server.address().port}/` }));
  });
}

/** Headless Chromium with the bundled page; `actor()` opens the page in a fresh context. */
export async function browser({ chromium, folder, log }) {
  const { default: playwright } = await load('playwright-core');
  const { server, url } = await serve(folder);
  const profile = mkdtempSync(join(tmpdir(), 'folkmoot-interop-'));
  const context = await playwright.chromium.launchPersistentContext(profile, {
    executablePath: chromium,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  return {
    async actor() {
      const page = await context.newPage();
      page.on('console', (message) => appendFileSync(log, `${message.type()}: ${message.text()}\n`));
      page.on('pageerror', (error) => appendFileSync(log, `page error: ${error}\n`));
      await page.goto(url);
      await page.waitForFunction(() => typeof globalThis.act === 'function');
      return {
        async call(name, args) {
          const reply = JSON.parse(await page.evaluate(([op, values]) => globalThis.act(op, values), [name, args]));
          if (reply.error) throw new Error(reply.error);
          return reply.result;
        },
        close: () => page.close(),
      };
    },
    async close() {
      await context.close();
      server.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
