// The people of a scenario: who they are, which SDK they use and through which API, and what
// they do, in the words of the scenarios.

import { createHash } from 'node:crypto';
import { deepStrictEqual } from 'node:assert';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { TARGET, load } from './install.mjs';
import { eventually } from './time.mjs';

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
    this.options = options;
    Object.assign(this, await this.#call('open', { key: this.key, wallet: this.wallet, ...options }));
    return this;
  }

  /** Ends the process in the middle of whatever it does. Only for somebody with one of their `own`. */
  kill = () => this.actor.kill();

  /** Starts a process for the client again, on the database that the last one left. */
  async reopen() {
    this.actor = await this.another();
    return this.open(this.options);
  }

  reachable = (...others) => this.#call('reachable', { addresses: others.map((one) => one.address ?? one) });
  dm = (other) => this.#call('dm', { inbox: other.inbox });
  group = (others, options = {}) => this.#call('group', { inboxes: others.map((one) => one.inbox), options });
  say = (id, text) => this.#call('say', { id, text });
  sayAll = (id, texts) => this.#call('sayAll', { id, texts });
  send = (id, content) => this.#call('send', { id, content });
  react = (id, to, emoji, options) => this.#call('react', { id, to, emoji, ...options });
  reply = (id, to, text) => this.#call('reply', { id, to, text });
  add = (id, ...others) => this.#call('add', { id, inboxes: others.map((one) => one.inbox) });
  remove = (id, ...others) => this.#call('remove', { id, inboxes: others.map((one) => one.inbox) });
  update = (id, change) => this.#call('update', { id, ...change });
  deleteMessage = (id, message) => this.#call('deleteMessage', { id, message: message.id ?? message });
  promote = (id, other) => this.#call('promote', { id, inbox: other.inbox });
  demote = (id, other) => this.#call('demote', { id, inbox: other.inbox });
  crown = (id, other) => this.#call('crown', { id, inbox: other.inbox });
  uncrown = (id, other) => this.#call('uncrown', { id, inbox: other.inbox });
  permissions = (id) => this.#call('permissions', { id });
  permit = (id, what, to) => this.#call('permit', { id, what, to });
  leave = (id) => this.#call('leave', { id });
  disappear = (id, settings) => this.#call('disappear', { id, settings });
  state = (id) => this.#call('state', { id });
  lastRead = (id) => this.#call('lastRead', { id });
  sync = () => this.#call('sync');
  conversations = () => this.#call('conversations');
  read = (id, options) => this.#call('read', { id, ...options });
  listen = () => this.#call('listen');
  heard = (count, options) => this.#call('heard', { count, ...options });
  troubles = () => this.#call('troubles');
  hangUp = () => this.#call('hangUp');
  allow = (other) => this.#call('allow', { inbox: other.inbox, state: 1 });
  deny = (other) => this.#call('allow', { inbox: other.inbox, state: 2 });
  consent = (other) => this.#call('consent', { inbox: other.inbox });
  allowConversation = (id) => this.#call('allowConversation', { id, state: 1 });
  denyConversation = (id) => this.#call('allowConversation', { id, state: 2 });
  conversationConsent = (id) => this.#call('conversationConsent', { id });
  exportArchive = (path, key) => this.#call('exportArchive', { path, key });
  importArchive = (path, key) => this.#call('importArchive', { path, key });
  seal = (attachment, url) => this.#call('seal', { attachment, url });
  unseal = (remote, payload) => this.#call('unseal', { remote, payload });
  inboxState = () => this.#call('inbox');
  inboxStateOf = (other) => this.#call('inbox', { inbox: other.inbox });
  /** The installations of `other`'s inbox, as they stand in the conversation. */
  devices = (id, other) => this.#call('devices', { id, inbox: other.inbox });
  /** Only ours can: a new installation takes this one's place, in the same database. */
  relink = async () => Object.assign(this, await this.#call('relink'));
  revokeOthers = () => this.#call('revokeOthers');
  /** Revokes installations of `other`'s inbox with that one's key alone, from this one's process. */
  revokeFor = (other, ...installations) => this.#call('revokeFor', { key: other.key, inbox: other.inbox, installations });
  addAccount = (key) => this.#call('addAccount', { key });
  removeAccount = (address) => this.#call('removeAccount', { address });
  askForHistory = () => this.#call('askForHistory');
  syncDevices = () => this.#call('syncDevices');
  close = () => this.#call('close');

  /** The texts of a conversation, oldest first. */
  async texts(id) {
    return (await this.read(id)).messages.filter((message) => message.type === 'text').map((message) => message.text);
  }

  /** Waits until the conversation is known, which others opened. */
  async meets(id, seconds = 20) {
    await eventually(`${this.who} is in the conversation`, seconds, async () => {
      await this.sync();
      return (await this.conversations()).some((one) => one.id === id);
    });
  }

  /** Fails unless the conversation holds exactly these texts, in this order. */
  async sees(id, texts) {
    deepStrictEqual(await this.texts(id), texts, `what ${this.who} sees`);
  }
}

/** What one run of a scenario works with. */
export class World {
  /**
   * `suite` says which SDK and API people use unless told otherwise, and which `other` SDK those
   * that `stranger` opens use; `hosts` opens actors by SDK; `node` is the node under test; `chain`
   * the Ethereum chain; `full` asks for the long forms.
   */
  constructor({ suite, hosts, node, chain, seed, full = false }) {
    Object.assign(this, { suite, hosts, node, chain, seed, full });
    this.actors = new Map();
    this.notes = [];
    this.folder = join(TARGET, 'databases', createHash('sha256').update(seed).digest('hex').slice(0, 16));
  }

  /** Opens a client for each name, side by side. */
  people(...names) {
    return Promise.all(names.map((name) => this.person(name)));
  }

  /** Opens a client with a new account. `options` may name another `sdk` or `api`. */
  async person(name, options = {}) {
    return this.#client(name, await this.account(name), options);
  }

  /** Opens a client of the suite's other SDK. */
  stranger(name, options = {}) {
    return this.person(name, { sdk: this.suite.other, ...options });
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

  /**
   * `own`: in a process of its own; `stored`: with a database that outlives it; `through` takes
   * the node's addresses and gives those that this client is to use; `readable`: an official
   * client's database is not encrypted; `logs`: from which level on its library logs;
   * `plainStreams`: our client uses no bidirectional streams, as official ones do;
   * `packageSeconds`: its key package runs out so soon.
   */
  async #client(who, account, options = {}) {
    const { sdk = this.suite.sdk, api = this.suite.api, wallet = account.wallet, deviceSync, through, readable, logs, plainStreams, packageSeconds } = options;
    const { stored = false, own = stored } = options;
    const actor = await this.#actor(sdk, own ? who : '');
    const owner = wallet ? { ...account, wallet, address: wallet.address.toLowerCase() } : account;
    const client = new Client(actor, who, { ...owner, sdk, api });
    client.another = () => {
      this.actors.delete(nameOf(sdk, who));
      return this.#actor(sdk, who);
    };
    const addresses = through ? through(this.node.addresses) : this.node.addresses;
    return client.open({
      network: { ...networkOf(sdk, api, addresses), ...(sdk === 'ours' ? { plainStreams } : {}) },
      historySyncUrl: deviceSync ? forBrowser(sdk, addresses.history) : undefined,
      deviceSync,
      path: stored ? this.file(`${who}.db`) : undefined,
      readable,
      packageSeconds,
      logs,
    });
  }

  /** One actor per SDK; with `name`, one for this client alone. */
  #actor(sdk, name) {
    const key = nameOf(sdk, name);
    if (!this.actors.has(key)) this.actors.set(key, this.hosts.open(sdk));
    return this.actors.get(key);
  }

  /** A file of this run, which ends with it. */
  file(name) {
    mkdirSync(this.folder, { recursive: true });
    return join(this.folder, name.replaceAll(' ', '-'));
  }

  /** A line for the report, for example a figure. */
  note(text) {
    this.notes.push(text);
  }

  async close() {
    const actors = await Promise.allSettled(this.actors.values());
    await Promise.allSettled(actors.map(({ value }) => value?.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function nameOf(sdk, name) {
  return `${sdk} ${name}`;
}

function forBrowser(sdk, url) {
  // A page's origin is localhost; the SDK's defaults say localhost too.
  return sdk === 'browser' ? url.replace('127.0.0.1', 'localhost') : url;
}

function networkOf(sdk, api, addresses) {
  if (api === 'd14n') return { gatewayHost: forBrowser(sdk, addresses.gateway) };
  return { apiUrl: sdk === 'browser' ? forBrowser(sdk, addresses.web) : addresses.v3 };
}
