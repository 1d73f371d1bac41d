// A long random life of six clients, ours and official ones: they talk in groups and in pairs,
// invite and remove each other, lose their connections, and are killed in the middle of it. In the
// end all must have the same history and be in the same state. `--help` lists the options.

import { deepStrictEqual as same, ok, strictEqual } from 'node:assert';
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { nativeActor, ourActor } from './lib/actors.mjs';
import { SOURCE, TARGET, node22, nodeForNewestSdk, ourClient, packages } from './lib/install.mjs';
import { TestNode } from './lib/node.mjs';
import { freeOffset } from './lib/ports.mjs';
import { run, stopAll } from './lib/processes.mjs';
import { Wire } from './lib/proxy.mjs';
import { eventually, within } from './lib/time.mjs';
import { agree } from './lib/words.mjs';
import { World } from './lib/world.mjs';

const HELP = `node interop/soak.mjs [options]
  --operations N     how many (150)
  --full             5000 of them
  --seed TEXT        what is random about it (the time); the same seed gives the same operations
  --clients LIST     who takes part (ours v3,node6 v3,ours d14n,node6 d14n,ours v3,node5 v3)
  --no-kills         nobody is killed
  --no-cuts          no connection is cut
  --program FILE     the folkmoot program (target/release/folkmoot)
  --client FILE      the program around our client (target/release/client-actor)
  --port-offset N    shift the node's ports (0, or the first free offset)
  --name TEXT        what its log files and its node are called (soak); one name for each at a time
  --library-log LEVEL  what official clients log, into target/interop/logs (Off)
  --verbose          a line for each operation`;

const { values: options } = parseArgs({
  options: {
    operations: { type: 'string' },
    full: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(Date.now()) },
    clients: { type: 'string', default: 'ours v3,node6 v3,ours d14n,node6 d14n,ours v3,node5 v3' },
    'no-kills': { type: 'boolean', default: false },
    'no-cuts': { type: 'boolean', default: false },
    program: { type: 'string', default: 'target/release/folkmoot' },
    client: { type: 'string', default: 'target/release/client-actor' },
    'port-offset': { type: 'string' },
    name: { type: 'string', default: 'soak' },
    'library-log': { type: 'string', default: 'Off' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const say = (text) => console.log(text);

/** Numbers that depend on the seed alone. */
class Dice {
  constructor(seed) {
    this.state = createHash('sha256').update(seed).digest().readUInt32LE();
  }

  /** A number from 0 up to, and without, `below`. */
  below(below) {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  }

  one(list) {
    return list[this.below(list.length)];
  }

  /** A key of `weights`, each as often as its weight says. */
  weighted(weights) {
    const entries = Object.entries(weights);
    let left = this.below(entries.reduce((sum, [, weight]) => sum + weight, 0));
    return entries.find(([, weight]) => (left -= weight) < 0)[0];
  }
}

/** How often what happens. */
const WEIGHTS = {
  say: 40,
  sayUnread: 10,
  react: 5,
  reply: 5,
  read: 10,
  sync: 8,
  rename: 6,
  add: 7,
  remove: 4,
  role: 3,
  cut: options['no-cuts'] ? 0 : 5,
  kill: options['no-kills'] ? 0 : 3,
};
/** Groups, besides the DMs. */
const GROUPS = 3;

/** What is known about a conversation without asking anybody. */
class Room {
  constructor(id, name, anchors, members) {
    Object.assign(this, { id, name, anchors });
    this.founder = anchors[0];
    /** Members, and since which turn. */
    this.members = new Map(members.map((one) => [one, 0]));
    this.admins = new Set();
    /** Texts that were sent for sure: who has to have them. */
    this.texts = new Map();
    /** When each member last read it, and how many commits there were. */
    this.lastRead = new Map();
    this.commits = 0;
    /** Members that have not yet looked for their invitation. */
    this.uninvited = new Set();
  }
}

class Soak {
  constructor(world, dice) {
    Object.assign(this, { world, dice });
    this.turn = 0;
    this.counts = {};
    this.failures = [];
    this.lost = [];
    /** Texts that members lack: who sent them, where, who lacks them. */
    this.lacking = [];
  }

  /** Opens the clients and their conversations. */
  async begin(list) {
    this.wires = [];
    this.clients = await Promise.all(
      list.split(',').map(async (party, index) => {
        const [sdk, api] = party.trim().split(' ');
        const entrance = api === 'd14n' ? 'gateway' : 'v3';
        const wire = await Wire.to(Number(new URL(this.world.node.addresses[entrance]).port));
        this.wires.push(wire);
        const through = (addresses) => ({ ...addresses, [entrance]: wire.url });
        const client = await this.world.person(`${index} ${sdk} ${api}`, { sdk, api, stored: true, through, readable: true, logs: options['library-log'] });
        client.wire = wire;
        return client;
      }),
    );
    this.rooms = [];
    for (let number = 0; number < GROUPS; number += 1) {
      const founder = this.clients[number % this.clients.length];
      // One of another make stays to the end as well.
      const witness = this.clients.find((one, index) => index > number && one.sdk !== founder.sdk) ?? this.clients.at(-1);
      const others = this.clients.filter((one) => one !== founder && one !== witness && this.dice.below(2));
      const id = await founder.group([witness, ...others], { groupName: `group ${number}` });
      this.rooms.push(new Room(id, `group ${number}`, [founder, witness], [founder, witness, ...others]));
    }
    for (let number = 0; number + 1 < this.clients.length; number += 2) {
      const [one, other] = this.clients.slice(number, number + 2);
      const id = await one.dm(other);
      this.rooms.push(new Room(id, `dm ${number}`, [one, other], [one, other]));
    }
    for (const room of this.rooms) for (const member of room.members.keys()) await member.meets(room.id);
  }

  /** Draws what to do, and does it with up to two others at the same time. */
  async step() {
    this.turn += 1;
    const acts = [];
    const busy = new Set();
    const many = 1 + this.dice.below(3);
    for (let index = 0; index < many; index += 1) {
      const act = this.#draw(busy);
      if (act) acts.push(act);
    }
    await Promise.all(acts.map((act) => this.#perform(act)));
    for (const act of acts) act.after?.();
    return acts.length;
  }

  #draw(busy) {
    const kind = this.dice.weighted(WEIGHTS);
    const actor = this.dice.one(this.clients.filter((one) => !busy.has(one)));
    const rooms = this.rooms.filter((room) => room.members.has(actor));
    const room = rooms.length ? this.dice.one(rooms) : undefined;
    if (!room) return undefined;
    busy.add(actor);
    const number = `${this.turn}.${busy.size}`;
    const act = { kind, actor, room, number };
    const group = !room.name.startsWith('dm');
    switch (kind) {
      case 'say':
        return this.#saying(act, true);
      case 'sayUnread': {
        // Keys of three past epochs are kept: more must not have passed.
        const read = room.lastRead.get(actor);
        return this.#saying(act, !read || room.uninvited.has(actor) || room.commits - read.commits > 1);
      }
      case 'react':
      case 'reply':
        act.run = async () => {
          const { messages } = await this.#read(actor, room);
          const to = messages.findLast((message) => message.type === 'text');
          if (!to) return;
          if (kind === 'react') await actor.react(room.id, to, '👍');
          else await actor.reply(room.id, to, `reply ${number}`);
        };
        return act;
      case 'read':
        act.run = () => this.#read(actor, room);
        return act;
      case 'sync':
        act.run = () => actor.sync();
        return act;
      case 'rename':
        if (!group) return undefined;
        act.run = () => actor.update(room.id, { name: `name ${number}` });
        room.commits += 1;
        return act;
      case 'add': {
        const outside = this.clients.filter((one) => !room.members.has(one) && !busy.has(one));
        if (!group || !outside.length || room.changing === this.turn) return undefined;
        const newcomer = this.dice.one(outside);
        room.changing = this.turn;
        room.commits += 1;
        act.what = newcomer.who;
        act.run = async () => {
          await this.#read(actor, room);
          await actor.add(room.id, newcomer);
        };
        act.after = () => {
          // If it did not come through, or nobody knows, nothing is expected of the newcomer.
          room.uninvited.add(newcomer);
          if (act.done) room.members.set(newcomer, this.turn + 1);
          else room.unsure ??= new Set([newcomer]).add(newcomer);
        };
        return act;
      }
      case 'remove': {
        const { founder } = room;
        const inside = [...room.members.keys()].filter((one) => !room.anchors.includes(one) && !busy.has(one));
        if (!group || !inside.length || room.changing === this.turn || (founder !== actor && busy.has(founder))) return undefined;
        busy.add(founder);
        const leaver = this.dice.one(inside);
        room.changing = this.turn;
        room.commits += 1;
        Object.assign(act, { actor: founder, what: leaver.who });
        act.run = async () => {
          await this.#read(founder, room);
          await founder.remove(room.id, leaver);
        };
        act.after = () => {
          room.members.delete(leaver);
          room.admins.delete(leaver);
          for (const needs of room.texts.values()) needs.delete(leaver);
          if (!act.done) (room.unsure ??= new Set()).add(leaver);
        };
        return act;
      }
      case 'role': {
        const { founder } = room;
        const inside = [...room.members.keys()].filter((one) => one !== founder);
        if (!group || (founder !== actor && busy.has(founder)) || room.changing === this.turn) return undefined;
        busy.add(founder);
        const member = this.dice.one(inside);
        room.commits += 1;
        room.changing = this.turn;
        Object.assign(act, { actor: founder, what: member.who });
        act.run = async () => {
          const { admins } = await this.#read(founder, room);
          await (admins.includes(member.inbox) ? founder.demote(room.id, member) : founder.promote(room.id, member));
        };
        return act;
      }
      case 'cut': {
        const milliseconds = 100 + this.dice.below(1500);
        act.run = async () => {
          actor.disturbed = this.turn + 3;
          const cut = actor.wire.cut(milliseconds);
          const talk = actor.say(room.id, `cut ${number}`).catch(() => {});
          await Promise.all([cut, within(60_000, 'a text in spite of a cut', talk)]);
        };
        return act;
      }
      case 'kill': {
        const milliseconds = this.dice.below(80);
        act.run = async () => {
          actor.disturbed = this.turn + 3;
          const talk = actor.say(room.id, `kill ${number}`).catch(() => {});
          await new Promise((done) => setTimeout(done, milliseconds));
          await actor.kill();
          await talk;
          await actor.reopen();
        };
        return act;
      }
      default:
        throw new Error(`nobody knows how to ${kind}`);
    }
  }

  /** Says something; whoever is a member before and after has to have it. */
  #saying(act, reading) {
    const { actor, room, number } = act;
    const text = `text ${number}`;
    const read = room.lastRead.get(actor)?.turn ?? -1;
    act.what = text;
    act.run = async () => {
      if (reading) await this.#read(actor, room);
      act.known = reading ? this.turn : read;
      await actor.say(room.id, text);
    };
    act.after = () => {
      if (!act.done) return;
      // Who came after the sender last looked has no key to it.
      const needs = [...room.members].filter(([, since]) => since <= this.turn && since <= act.known);
      room.texts.set(text, new Set(needs.map(([one]) => one)));
    };
    return act;
  }

  /**
   * Whoever was invited looks for the invitation before doing anything else there. An official
   * client that was in the group before and does not would read with what it has from then, and be
   * past everything that was said since.
   */
  async #arrive(actor, room) {
    if (!room.uninvited.has(actor)) return;
    await actor.sync();
    room.uninvited.delete(actor);
  }

  async #read(actor, room) {
    const { commits } = room;
    await this.#arrive(actor, room);
    const seen = await actor.read(room.id);
    room.lastRead.set(actor, { turn: this.turn, commits });
    return seen;
  }

  async #perform(act) {
    const { kind, actor, room } = act;
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    const label = `${act.number} ${actor.who}: ${kind} in ${room.name}${act.what ? ` (${act.what})` : ''}`;
    try {
      await within(90_000, label, this.#arrive(actor, room).then(act.run));
      act.done = true;
      if (options.verbose) say(label);
    } catch (error) {
      const cause = error.message.split('\n').slice(0, 3).join(' ').slice(0, 300);
      if (options.verbose) say(`${label}: ${cause}`);
      this.counts.failed = (this.counts.failed ?? 0) + 1;
      // A cut or a kill explains it; so does that it is not certain who is a member.
      const explained = (actor.disturbed ?? -1) >= this.turn || room.unsure?.has(actor) || kind === 'cut' || kind === 'kill';
      if (!explained) this.failures.push(`${label}: ${cause}`);
    }
  }

  /** Everybody comes to rest; then all must have the same. */
  async compare() {
    for (const client of this.clients) {
      await eventually(`${client.who} comes to rest`, 60, async () => {
        try {
          await client.sync();
          await client.sync();
          return true;
        } catch {
          return false;
        }
      });
    }
    let messages = 0;
    for (const room of this.rooms) {
      const histories = new Map();
      for (const client of this.clients) {
        const known = (await client.conversations()).some(({ id }) => id === room.id);
        if (!known) {
          ok(!room.members.has(client) || room.unsure?.has(client), `${client.who} knows ${room.name}`);
          continue;
        }
        const seen = await client.read(room.id);
        // What commits changed is written by each client for itself, from when it joined.
        const said = seen.messages.filter(({ type, published }) => type !== 'group_updated' && published);
        histories.set(client, { ...seen, said: said.map(({ id }) => id), texts: said.filter(({ type }) => type === 'text').map(({ text }) => text) });
      }
      // Ours must have everything that anybody has; what an official client lost is told.
      const witness = room.anchors.find(({ sdk }) => sdk === 'ours') ?? room.founder;
      const reference = histories.get(witness);
      messages += reference.said.length;
      for (const [client, { said, texts }] of histories) {
        const mine = new Set(said);
        const missing = [...room.texts].filter(([, needs]) => needs.has(client)).map(([text]) => text).filter((text) => !texts.includes(text));
        this.#expect(client, () => strictEqual(new Set(said).size, said.length, `${client.who} has no message of ${room.name} twice`));
        this.#expect(client, () => strictEqual(new Set(texts).size, texts.length, `${client.who} has no text of ${room.name} twice`));
        this.#expect(client, () => same(said, reference.said.filter((id) => mine.has(id)), `what ${client.who} has of ${room.name}, in order`));
        this.#expect(client, () => same(missing, [], `what ${client.who} lacks of ${room.name}: ${missing.join(', ')}`));
        for (const text of missing) this.#lacks(room, client, text, histories);
        const strange = said.filter((id) => !reference.said.includes(id));
        for (const id of strange) {
          const { text } = histories.get(client).messages.find((message) => message.id === id);
          if (text) this.#lacks(room, witness, text, histories);
        }
        this.#expect(witness, () => same(strange, [], `what ${client.who} has of ${room.name} and ${witness.who} has not`));
      }
      for (const anchor of room.anchors.filter(({ sdk }) => sdk === 'ours')) {
        same(histories.get(anchor).said, reference.said, `${anchor.who} and ${room.name}`);
      }
      const inside = this.clients.filter((client) => histories.get(client)?.active && reference.members.includes(client.inbox));
      const apart = new Set();
      const stands = async (client, check) => {
        try {
          await check();
        } catch (error) {
          if (client.sdk === 'ours') throw error;
          apart.add(client);
          this.lost.push(error.message.split('\n')[0]);
        }
      };
      for (const member of room.members.keys()) {
        await stands(member, () => ok(inside.includes(member) || room.unsure?.has(member), `${member.who} is in ${room.name}`));
      }
      for (const member of inside) {
        await stands(member, () => same(histories.get(member).members, reference.members, `members of ${room.name} that ${member.who} sees`));
        await stands(member, () => agree(room.id, [witness, member]));
      }
      // An official client may lose its way by itself. When as many do as stay, it is not them.
      ok(apart.size * 2 < Math.max(inside.length, room.members.size), `most are in the same state of ${room.name}`);
    }
    return messages;
  }

  /** Notes that `receiver` lacks a text, with the client that sent it. */
  #lacks(room, receiver, text, histories) {
    const all = [...histories.values()].flatMap(({ messages }) => messages);
    const inbox = all.find((message) => message.text === text)?.from;
    const known = ({ who, sdk, options: { path } }) => ({ who, path: sdk === 'ours' ? undefined : path });
    const sender = this.clients.find((one) => one.inbox === inbox) ?? { who: 'nobody', sdk: 'ours', options: {} };
    this.lacking.push({ text, conversation: room.id, sender: known(sender), receiver: known(receiver) });
  }

  /** Says for each text that somebody lacks how far it came. */
  async explain(node) {
    if (!this.lacking.length) return;
    const question = JSON.stringify({ store: join(node.data, 'node.sqlite'), lost: this.lacking });
    const script = join(SOURCE, 'lib/evidence.mjs');
    const answer = await run(node22(), ['--disable-warning=ExperimentalWarning', script, question]).catch((error) => error.message);
    for (const line of answer.trimEnd().split('\n')) say(`  evidence: ${line}`);
  }

  /** What an official client loses or disorders is told; with ours it is a failure. */
  #expect(client, check) {
    try {
      check();
    } catch (error) {
      if (client.sdk === 'ours') throw error;
      this.lost.push(error.message.split('\n')[0]);
    }
  }

  close() {
    for (const wire of this.wires ?? []) wire.close();
  }
}

async function main() {
  const operations = Number(options.operations ?? (options.full ? 5000 : 150));
  say(`soak: ${operations} operations, seed ${options.seed}`);
  mkdirSync(join(TARGET, 'logs'), { recursive: true });
  await packages();
  const newest = options.clients.includes('node6') ? await nodeForNewestSdk() : {};
  if (newest.missing) {
    say(`SKIPPED: ${newest.missing}; the older SDK takes its place`);
    options.clients = options.clients.replaceAll('node6', 'node5');
  }
  const ours = options.clients.includes('ours') ? ourClient(resolve(options.client)) : {};
  if (ours.missing) throw new Error(ours.missing);
  const log = (name) => {
    const file = join(TARGET, `logs/${options.name}-${name}.log`);
    rmSync(file, { force: true });
    return file;
  };
  const logs = { ours: log('ours'), node5: log('node5'), node6: log('node6') };
  const openers = {
    ours: () => ourActor({ program: ours.actor, log: logs.ours }),
    node5: () => nativeActor({ node: node22(), sdk: 'node-sdk-5', log: logs.node5 }),
    node6: () => nativeActor({ node: newest.node, sdk: 'node-sdk-6', log: logs.node6 }),
  };
  const offset = options['port-offset'] === undefined ? await freeOffset() : Number(options['port-offset']);
  const node = new TestNode({ program: resolve(options.program), offset, name: options.name });
  await node.start();
  const world = new World({ suite: {}, hosts: { open: (sdk) => openers[sdk]() }, node, seed: options.seed });
  const soak = new Soak(world, new Dice(options.seed));
  const began = Date.now();
  try {
    await soak.begin(options.clients);
    let done = 0;
    let told = 0;
    while (done < operations) {
      done += await soak.step();
      if (done - told >= 250) {
        say(`  ${done} operations, ${((Date.now() - began) / 1000).toFixed(0)} s`);
        told = done;
      }
    }
    const messages = await soak.compare();
    const counts = Object.entries(soak.counts).map(([kind, count]) => `${kind} ${count}`);
    for (const failure of soak.failures) say(`  failed without a reason: ${failure}`);
    for (const text of soak.lost) say(`  official: ${text}`);
    await soak.explain(node);
    const mine = soak.failures.filter((failure) => failure.includes(' ours '));
    strictEqual(mine.length, 0, 'operations of our client failed without a reason');
    say(`ok    soak ${((Date.now() - began) / 1000).toFixed(1)} s: ${counts.join(', ')}; ${messages} messages, same histories, same epochs (seed ${options.seed})`);
    return 0;
  } catch (error) {
    for (const failure of soak.failures) say(`  failed without a reason: ${failure}`);
    for (const text of soak.lost) say(`  official: ${text}`);
    say(`FAIL  soak in turn ${soak.turn}: ${error.stack ?? error}`);
    await soak.explain(node);
    say(`--- the node's last lines\n${node.tail()}`);
    say(`--- again: node interop/soak.mjs --seed '${options.seed}' --operations ${operations} --clients '${options.clients}'`);
    return 1;
  } finally {
    await within(15_000, 'closing', world.close()).catch(() => {});
    soak.close();
    await node.stop();
  }
}

if (options.help) {
  say(HELP);
} else {
  const code = await main().catch((error) => {
    say(String(error?.stack ?? error));
    return 1;
  });
  await stopAll();
  process.exit(code);
}
