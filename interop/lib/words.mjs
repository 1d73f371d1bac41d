// Words that several groups of scenarios share.

import { deepStrictEqual as same, ok, strictEqual } from 'node:assert';

import { eventually } from './time.mjs';

/** Consent values of the SDKs. */
export const UNKNOWN = 0;
export const ALLOWED = 1;
export const DENIED = 2;

/** The texts among messages. */
export function textsOf(messages) {
  return messages.filter((message) => message.type === 'text').map((message) => message.text);
}

/** People of both makes in turn. */
export function both(world, ...names) {
  return Promise.all(names.map((name, index) => (index % 2 ? world.stranger(name) : world.person(name))));
}

/**
 * Fails unless all are in the same epoch of the conversation and came there the same way: an
 * epoch's authenticator depends on every commit before. Official SDKs show three bytes of it.
 */
export async function agree(id, people) {
  const states = [];
  for (const one of people) {
    await one.read(id);
    const state = await one.state(id);
    // An official SDK only suspects something when it cannot read a late message; the epoch tells.
    if (one.sdk === 'ours') strictEqual(state.trouble, null, `${one.who} and the conversation`);
    states.push([one, state]);
  }
  const [[first, reference]] = states;
  const { epoch } = reference;
  const [longest] = states.map(([, state]) => state.epochs[epoch] ?? '').sort((one, two) => two.length - one.length);
  for (const [one, state] of states) {
    strictEqual(state.epoch, epoch, `the epochs of ${first.who} and ${one.who}`);
    ok(state.epochs[epoch], `${one.who} shows what epoch ${epoch} is like`);
    strictEqual(state.epochs[epoch], longest.slice(0, state.epochs[epoch].length), `what epoch ${epoch} is like for ${one.who}`);
  }
}

/** A phone that did `before`, then a laptop of the same inbox, perhaps with another `sdk`; both know of each other. */
export async function twoDevices(world, before = async () => {}, sdk = undefined) {
  const phone = await world.person('alice', { deviceSync: true, own: true });
  // Each device opens a group for the two, in the background; the newest one counts. Ours does so
  // when there are two.
  if (phone.sdk !== 'ours') await eventually('the phone has opened its group', 20, () => phone.syncDevices());
  await before(phone);
  const laptop = await world.secondDevice(phone, { deviceSync: true, own: true, ...(sdk ? { sdk } : {}) });
  strictEqual(laptop.inbox, phone.inbox);
  ok(laptop.installation !== phone.installation);
  same((await phone.inboxState()).installations, [phone.installation, laptop.installation].sort());
  if (phone.sdk !== 'ours') {
    await eventually("the phone is in the laptop's group", 20, async () => {
      await laptop.syncDevices();
      return (await phone.syncDevices()) >= 2;
    });
  }
  await phone.syncDevices();
  await laptop.syncDevices();
  return [phone, laptop];
}

/** The welcomes, and the pointers to welcomes, that the node has for a client's installation. */
export async function welcomesTo(world, client) {
  const body = JSON.stringify({ installation_key: Buffer.from(client.installation, 'hex').toString('base64') });
  const answer = await fetch(`${world.node.addresses.http}/mls/v1/query-welcome-messages`, { method: 'POST', body });
  ok(answer.ok, `the node tells of welcomes: ${answer.status}`);
  return (await answer.json()).messages;
}
