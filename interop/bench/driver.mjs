// The official side of `folkmoot bench client`: requests on standard input, answers on standard
// output, a JSON line each. What the requests mean stands in
// `crates/folkmoot/src/bench/client/worker.rs`, which answers the same ones with our client.
//
//   node --expose-gc driver.mjs NODE-URL

import { createInterface } from 'node:readline';

import * as sdk from 'node-sdk-6';
import { hexToBytes } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

const AFTERWARDS = 30;
const PATIENCE = 30_000;

const apiUrl = process.argv[2];
try {
  // This version resolves inbox ids at the environment's own address, whatever apiUrl says.
  sdk.ApiUrls.local = apiUrl;
} catch {
  // A frozen table; `apiUrl` has to do.
}

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const rest = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Time that went into signing with the wallet, which is the app's part: not counted. */
const signing = { wall: 0, cpu: 0 };

const people = new Map();
const person = (who) => {
  const client = people.get(who);
  if (!client) throw new Error(`nobody opened a client as ${who}`);
  return client;
};
const conversation = async (who, id) => {
  const found = await person(who).conversations.getConversationById(id);
  if (!found) throw new Error(`${who} does not know conversation ${id}`);
  return found;
};
const everybody = [sdk.ConsentState?.Unknown ?? 0, sdk.ConsentState?.Allowed ?? 1];

/** The texts of a conversation, the oldest first. */
async function texts(here) {
  const messages = await here.messages({ kind: 0, direction: 0 });
  return messages.map(({ content }) => {
    if (typeof content !== 'string' || !content) throw new Error('a message is no text');
    return content;
  });
}

/** Says all texts: stores them first and publishes them together, which is the SDK's fastest way. */
async function sayAll(here, all) {
  for (const text of all) await here.sendText(text, true);
  await here.publishMessages();
}

const requests = {
  async open({ who, key, path }) {
    const account = privateKeyToAccount(`0x${key}`);
    const signer = {
      type: 'EOA',
      getIdentifier: () => ({ identifier: account.address.toLowerCase(), identifierKind: 0 }),
      signMessage: async (message) => {
        const [wall, before] = [performance.now(), cpu()];
        const signature = hexToBytes(await account.signMessage({ message }));
        signing.wall += performance.now() - wall;
        signing.cpu += cpu() - before;
        return signature;
      },
    };
    const client = await sdk.Client.create(signer, {
      env: 'local',
      apiUrl,
      dbPath: path ?? null,
      ...(path ? { dbEncryptionKey: new Uint8Array(32).fill(7) } : {}),
      disableDeviceSync: true,
      loggingLevel: sdk.LogLevel?.Off,
    });
    people.set(who, client);
    return { inbox: client.inboxId };
  },

  async meet({ who, whom, texts: all }) {
    const other = person(whom);
    const dm = await person(who).conversations.createDm(other.inboxId);
    for (const text of all) await dm.sendText(text);
    await other.conversations.syncAll(everybody);
    return { id: dm.id, texts: await texts(await conversation(whom, dm.id)) };
  },

  async ping({ who, whom, id, texts: all }) {
    const here = await conversation(who, id);
    let told = () => {};
    const stream = await person(whom).conversations.streamAllMessages({ onValue: (message) => told(message.content) });
    const received = [];
    const took = [];
    for (const text of all) {
      const began = performance.now();
      const heard = new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('the message is not heard')), PATIENCE);
        told = (content) => {
          took.push(performance.now() - began);
          clearTimeout(timer);
          resolve(content);
        };
      });
      const sending = here.sendText(text);
      received.push(await heard);
      await sending;
    }
    await stream.end();
    return { texts: received, took };
  },

  async group({ who, inboxes }) {
    const group = await person(who).conversations.createGroup(inboxes);
    return { id: group.id };
  },

  async members({ who, id }) {
    return (await (await conversation(who, id)).members()).length;
  },

  async say({ who, id, texts: all }) {
    const here = await conversation(who, id);
    for (const text of all) await here.sendText(text);
    return all.length;
  },

  async say_all({ who, id, texts: all }) {
    await sayAll(await conversation(who, id), all);
    return all.length;
  },

  async add({ who, id, inboxes }) {
    const here = await conversation(who, id);
    await here.addMembers(inboxes);
    return true;
  },

  async remove({ who, id, inboxes }) {
    const here = await conversation(who, id);
    await here.removeMembers(inboxes);
    return true;
  },

  async catch_up({ who }) {
    const { conversations } = person(who);
    await conversations.syncAll(everybody);
    const read = {};
    for (const one of await conversations.list()) read[one.id] = await texts(one);
    return read;
  },

  async sync({ who }) {
    await person(who).conversations.syncAll(everybody);
    return true;
  },

  async texts({ who, id }) {
    return texts(await conversation(who, id));
  },

  async idle({ who }) {
    const { conversations } = person(who);
    const all = await conversations.list();
    await conversations.syncAll(everybody);
    return all.length;
  },

  /** Gives back what JavaScript holds and does not need, before memory is read. */
  async rest() {
    globalThis.gc?.();
    await rest(100);
    globalThis.gc?.();
    return true;
  },
};

globalThis.gc?.();
process.stdout.write(`${JSON.stringify({ ready: cpu() })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const { op, args } = JSON.parse(line);
  Object.assign(signing, { wall: 0, cpu: 0 });
  const [began, before] = [performance.now(), cpu()];
  let answer;
  try {
    const result = await requests[op](args);
    const wall = performance.now() - began;
    await rest(AFTERWARDS);
    answer = { result, wall_ms: wall - signing.wall, cpu_ms: cpu() - before - signing.cpu };
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
