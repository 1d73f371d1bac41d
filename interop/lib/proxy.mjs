// A wire that can be cut: a TCP proxy in front of one of the node's ports.

import { connect, createServer } from 'node:net';

export class Wire {
  #server;
  #pairs = new Set();
  #broken = false;

  /** A wire to `port` of this machine. */
  static async to(port) {
    const wire = new Wire();
    wire.#server = createServer((near) => wire.#join(near, port));
    await new Promise((resolve, reject) => {
      wire.#server.once('error', reject);
      wire.#server.listen(0, '127.0.0.1', resolve);
    });
    return wire;
  }

  /** Where clients find it. */
  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  #join(near, port) {
    if (this.#broken) return near.destroy();
    const far = connect(port, '127.0.0.1');
    const pair = { near, far };
    this.#pairs.add(pair);
    for (const [one, other] of [[near, far], [far, near]]) {
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
    }
    return undefined;
  }

  /** Cuts every connection, and lets no new one through for so many milliseconds. */
  async cut(milliseconds) {
    this.#broken = true;
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    this.#broken = false;
  }

  close() {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
    this.#server.close();
  }
}
