// Child processes: started with their output kept, ended by their own id.

import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';

const running = new Set();

/** Runs a program to its end; an error with the end of its output unless it exits with 0. */
export function run(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (errors += chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${program} ${args[0] ?? ''}: ${signal ?? `exit ${code}`}\n${lastLines(errors + output, 20)}`));
    });
  });
}

/**
 * Starts a program that stays. What it prints to the error stream, and to the output stream
 * unless `pipe` is set, goes to the file `log`.
 */
export function start(program, args, { log, pipe = false, env, cwd } = {}) {
  mkdirSync(dirname(log), { recursive: true });
  const file = createWriteStream(log, { flags: 'a' });
  const child = spawn(program, args, {
    stdio: [pipe ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    env: env ? { ...process.env, ...env } : process.env,
    cwd,
  });
  if (!pipe) child.stdout.pipe(file, { end: false });
  child.stderr.pipe(file, { end: false });
  const ended = new Promise((resolve) => {
    child.on('error', (error) => resolve(String(error)));
    child.on('exit', (code, signal) => resolve(signal ?? `exit ${code}`));
  });
  const handle = { child, log, ended, over: false };
  running.add(handle);
  ended.then(() => {
    handle.over = true;
    running.delete(handle);
  });
  return handle;
}

/** Asks a process to end, and ends it when it has not after `patience` milliseconds. */
export async function stop(handle, { signal = 'SIGTERM', patience = 10_000 } = {}) {
  if (handle.over) return handle.ended;
  handle.child.kill(signal);
  const timer = setTimeout(() => handle.child.kill('SIGKILL'), patience);
  const how = await handle.ended;
  clearTimeout(timer);
  return how;
}

/** Ends whatever is still running. */
export async function stopAll() {
  await Promise.all([...running].map((handle) => stop(handle, { patience: 3000 })));
}

// No child outlives us, however we end.
process.on('exit', () => {
  for (const handle of running) handle.child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

/** The last `count` lines of a text. */
export function lastLines(text, count) {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

/** The last `count` lines of a file; empty when there is no such file. */
export function tail(file, count) {
  try {
    return lastLines(readFileSync(file, 'utf8'), count);
  } catch {
    return '';
  }
}
