// The people of a scenario: who they are, which SDK they use and through which API, and what
// they do, in the words of the scenarios.

import { createHash } from 'node:crypto';
import { deepStrictEqual } from 'node:assert';

import { load } from './install.mjs';

/** One client: an installation of a person's inbox. */
class Client {
  constructor(actor, who, account) {
    Object.assign(this, { actor, who, ...account });
  }

  #call(name, args = {}) {
    return this.actor.call(name, { who: this.who, ...args }).catch((error) => {
      throw new Error(`${this.who}: ${name}: ${error.message}`);
    });
  }

  async open(options) {
    Object.assign(this, await this.#call('open', { key: this.key, wallet: this.wallet, ...options }));
    return this;
  }

  reachable = (...others) => this.#call('reachable', { addresses: others.map((one) => one.address ?? one) });
  dm = (other) => this.#call('dm', { inbox: other.inbox });
  group = (others, options) => this.#call('group', { inboxes: others.map((one) => one.inbox), options });
  say = (id, text) => this.#call('say', { id, text });
  sayAll = (id, texts) => this.#call('sayAll', { id, texts });
  react = (id, to, emoji) => this.#call('react', { id, to, emoji });
  reply = (id, to, text) => this.#call('reply', { id, to, text });
  add = (id, ...others) => this.#call('add', { id, inboxes: others.map((one) => one.inbox) });
  remove = (id, ...others) => this.#call('remove', { id, inboxes: others.map((one) => one.inbox) });
  update = (id, change) => this.#call('update', { id, ...change });
  promote = (id, other) => this.#call('promote', { id, inbox: other.inbox });
  sync = () => this.#call('sync');
  conversations = () => this.#call('conversations');
  read = (id) => this.#call('read', { id });
  listen = () => this.#call('listen');
  heard = (count, options) => this.#call('heard', { count, ...options });
  troubles = () => this.#call('troubles');
  hangUp = () => this.#call('hangUp');
  allow = (other) => this.#call('allow', { inbox: other.inbox, state: 1 });
  deny = (other) => this.#call('allow', { inbox: other.inbox, state: 2 });
  consent = (other) => this.#call('consent', { inbox: other.inbox });
  inboxState = () => this.#call('inbox');
  revokeOthers = () => this.#call('revokeOthers');
  addAccount = (key) => this.#call('addAccount', { key });
  removeAccount = (address) => this.#call('removeAccount', { address });
  askForHistory = () => this.#call('askForHistory');
  syncDevices = () => this.#call('syncDevices');
  close = () => this.#call('close');

  /** The texts of a conversation, oldest first. */
  async texts(id) {
    return (await this.read(id)).messages.filter((message) => message.type === 'text').map((message) => message.text);
  }

  /** Fails unless the conversation holds exactly these texts, in this order. */
  async sees(id, texts) {
    deepStrictEqual(await this.texts(id), texts, `what ${this.who} sees`);
  }
}

/** What one run of a scenario works with. */
export class World {
  /**
   * `suite` says which SDK and API people use unless told otherwise; `hosts` opens actors by
   * SDK; `node` is the node under test; `chain` the Ethereum chain.
   */
  constructor({ suite, hosts, node, chain, seed }) {
    Object.assign(this, { suite, hosts, node, chain, seed });
    this.actors = new Map();
    this.count = 0;
    this.notes = [];
  }

  /** Opens a client for each name, side by side. */
  people(...names) {
    return Promise.all(names.map((name) => this.person(name)));
  }

  /** Opens a client with a new account. `options` may name another `sdk` or `api`. */
  async person(name, options = {}) {
    return this.#client(name, await this.account(name), options);
  }

  /** Opens one more client of `person`'s inbox: a second device. */
  async secondDevice(person, options = {}) {
    const { key, address, wallet } = person;
    return this.#client(`${person.who} again`, { key, address, wallet }, options);
  }

  /** A key that belongs to `name` in this run, and its address. */
  async account(name) {
    const { privateKeyToAccount } = await load('viem/accounts');
    const key = `0x${createHash('sha256').update(`${this.seed} ${name}`).digest('hex')}`;
    return { key, address: privateKeyToAccount(key).address.toLowerCase() };
  }

  async #client(who, account, { sdk = this.suite.sdk, api = this.suite.api, wallet = account.wallet, deviceSync, own = false } = {}) {
    const actor = await this.#actor(sdk, own ? who : '');
    const owner = wallet ? { ...account, wallet, address: wallet.address.toLowerCase() } : account;
    const client = new Client(actor, who, owner);
    return client.open({
      network: networkOf(sdk, api, this.node.addresses),
      historySyncUrl: deviceSync ? forBrowser(sdk, this.node.addresses.history) : undefined,
      deviceSync,
    });
  }

  /** One actor per SDK; with `name`, one for this client alone. */
  #actor(sdk, name) {
    const key = `${sdk} ${name}`;
    if (!this.actors.has(key)) this.actors.set(key, this.hosts.open(sdk));
    return this.actors.get(key);
  }

  /** A line for the report, for example a figure. */
  note(text) {
    this.notes.push(text);
  }

  async close() {
    const actors = await Promise.allSettled(this.actors.values());
    await Promise.allSettled(actors.map(({ value }) => value?.close()));
  }
}

function forBrowser(sdk, url) {
  // A page's origin is localhost; the SDK's defaults say localhost too.
  return sdk === 'browser' ? url.replace('127.0.0.1', 'localhost') : url;
}

function networkOf(sdk, api, addresses) {
  if (api === 'd14n') return { gatewayHost: forBrowser(sdk, addresses.gateway) };
  return { apiUrl: sdk === 'browser' ? forBrowser(sdk, addresses.web) : addresses.v3 };
}
