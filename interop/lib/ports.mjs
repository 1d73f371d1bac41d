// Ports: the ones that SDKs use by default, and which of them are free.

import { createServer } from 'node:net';

/** What `folkmoot dev` listens on. */
const PORTS = [5555, 5556, 5557, 5558, 5050, 5052, 5222, 5223];

/** Whether nothing listens on a port of the loopback address. */
export function isFree(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/** 0, or the first offset at which all ports are free. */
export async function freeOffset() {
  for (const offset of [0, 11_000, 12_000, 13_000, 14_000, 15_000]) {
    const free = await Promise.all(PORTS.map((port) => isFree(port + offset)));
    if (free.every(Boolean)) return offset;
  }
  throw new Error('no free ports for a node');
}
