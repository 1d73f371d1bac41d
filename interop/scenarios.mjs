// What people do with clients, told once for every SDK and both APIs. A scenario fails by
// throwing. `world` is described in lib/world.mjs.

import { deepStrictEqual as same, ok, strictEqual } from 'node:assert';

import { eventually } from './lib/time.mjs';
import { ALLOWED, DENIED, agree, twoDevices } from './lib/words.mjs';

/** The scenarios that run once per SDK and API. */
export const scenarios = [
  {
    name: 'register',
    async run(world) {
      const [alice, bob] = await world.people('alice', 'bob');
      const nobody = await world.account('nobody');
      same(await alice.reachable(alice, bob, nobody), [true, true, false]);
      ok(alice.inbox !== bob.inbox);
      strictEqual((await alice.inboxState()).installations.length, 1);
      world.note(`${alice.sdk === 'ours' ? 'folkmoot' : 'libxmtp'} ${alice.version.split(' ')[0]}`);
    },
  },
  {
    name: 'direct messages',
    async run(world) {
      const [alice, bob] = await world.people('alice', 'bob');
      await Promise.all([alice.listen(), bob.listen()]);
      const dm = await alice.dm(bob);
      await alice.say(dm, 'hello bob');
      same((await bob.heard(1)).map((one) => one.text), ['hello bob']);
      await bob.say(dm, 'hello alice');
      same((await alice.heard(2)).map((one) => one.text), ['hello bob', 'hello alice']);
      await alice.sees(dm, ['hello bob', 'hello alice']);
      await bob.sees(dm, ['hello bob', 'hello alice']);
    },
  },
  {
    name: 'group',
    async run(world) {
      const [alice, bob, carol] = await world.people('alice', 'bob', 'carol');
      const picnic = await alice.group([bob, carol], { groupName: 'picnic' });
      await bob.sync();
      await carol.sync();
      await alice.say(picnic, 'at noon');
      await bob.say(picnic, 'at the lake');
      await carol.say(picnic, 'with cake');
      for (const one of [alice, bob, carol]) {
        const seen = await one.read(picnic);
        same(seen.members, [alice, bob, carol].map((member) => member.inbox).sort());
        strictEqual(seen.name, 'picnic');
      }
      const everything = ['at noon', 'at the lake', 'with cake'];
      await alice.sees(picnic, everything);
      await bob.sees(picnic, everything);
      await carol.sees(picnic, everything);
    },
  },
  {
    name: 'members come and go',
    async run(world) {
      const [alice, bob, carol, dave] = await world.people('alice', 'bob', 'carol', 'dave');
      const picnic = await alice.group([bob, carol]);
      await Promise.all([bob.sync(), carol.sync()]);
      await alice.say(picnic, 'before');
      await alice.add(picnic, dave);
      await dave.sync();
      await bob.read(picnic);
      await bob.say(picnic, 'all four');
      await alice.read(picnic);
      await carol.sees(picnic, ['before', 'all four']);
      await alice.remove(picnic, carol);
      await alice.say(picnic, 'without carol');
      await bob.sees(picnic, ['before', 'all four', 'without carol']);
      await dave.sees(picnic, ['all four', 'without carol']);
      const carols = await carol.read(picnic);
      strictEqual(carols.active, false);
      same(carols.messages.filter((one) => one.type === 'text').map((one) => one.text), ['before', 'all four']);
      const bobs = await bob.read(picnic);
      same(bobs.members, [alice, bob, dave].map((member) => member.inbox).sort());
      const updates = bobs.messages.filter((one) => one.type === 'group_updated');
      ok(updates.some((one) => one.added.includes(dave.inbox)), 'dave was announced');
      ok(updates.some((one) => one.removed.includes(carol.inbox)), 'carol was announced');
    },
  },
  {
    name: 'metadata',
    async run(world) {
      const [alice, bob] = await world.people('alice', 'bob');
      const picnic = await alice.group([bob], { groupName: 'picnic', groupDescription: 'food outside' });
      await bob.sync();
      strictEqual((await bob.read(picnic)).description, 'food outside');
      await alice.update(picnic, { name: 'dinner', description: 'food inside', imageUrl: 'https://example.org/dinner.png' });
      await alice.promote(picnic, bob);
      const seen = await bob.read(picnic);
      strictEqual(seen.name, 'dinner');
      strictEqual(seen.description, 'food inside');
      strictEqual(seen.imageUrl, 'https://example.org/dinner.png');
      same(seen.admins, [bob.inbox]);
      await bob.update(picnic, { name: 'supper' });
      strictEqual((await alice.read(picnic)).name, 'supper');
    },
  },
  {
    name: 'reactions and replies',
    async run(world) {
      const [alice, bob] = await world.people('alice', 'bob');
      const dm = await alice.dm(bob);
      await alice.say(dm, 'cake?');
      await bob.sync();
      const [question] = (await bob.read(dm)).messages.filter((one) => one.type === 'text');
      await bob.react(dm, question, '🍰');
      await bob.reply(dm, question, 'yes please');
      const { messages } = await alice.read(dm);
      const reply = messages.find((one) => one.type === 'reply');
      strictEqual(reply?.text, 'yes please');
      strictEqual(reply.to, question.id);
      const asked = messages.find((one) => one.id === question.id);
      same(asked.reactions, [{ from: bob.inbox, emoji: '🍰' }]);
    },
  },
  {
    name: 'accounts of one inbox',
    async run(world) {
      const [alice, bob] = await world.people('alice', 'bob');
      const second = await world.account("alice's second account");
      await alice.addAccount(second.key);
      same((await alice.inboxState()).accounts, [alice.address, second.address].sort());
      same(await bob.reachable(second), [true]);
      await alice.removeAccount(second.address);
      same((await alice.inboxState()).accounts, [alice.address]);
    },
  },
  {
    name: 'consent on two devices',
    seconds: 120,
    async run(world) {
      const bob = await world.person('bob');
      const [phone, laptop] = await twoDevices(world);
      await phone.deny(bob);
      await eventually("the laptop knows the phone's choice", 60, async () => {
        await phone.syncDevices();
        await laptop.syncDevices();
        return (await laptop.consent(bob)) === DENIED;
      });
      await laptop.allow(bob);
      await eventually("the phone knows the laptop's choice", 60, async () => {
        await laptop.syncDevices();
        await phone.syncDevices();
        return (await phone.consent(bob)) === ALLOWED;
      });
    },
  },
  {
    name: 'history for a new device',
    seconds: 150,
    async run(world) {
      const bob = await world.person('bob');
      let dm;
      const [phone, laptop] = await twoDevices(world, async (first) => {
        dm = await first.dm(bob);
        await first.sayAll(dm, ['long', 'long', 'ago']);
      });
      await laptop.askForHistory();
      await eventually('the laptop has what was said before it existed', 100, async () => {
        await phone.syncDevices();
        await laptop.syncDevices();
        const known = (await laptop.conversations()).some((one) => one.id === dm);
        return known && (await laptop.texts(dm).catch(() => [])).join(' ') === 'long long ago';
      });
    },
  },
  {
    name: 'a restart of the node',
    seconds: 120,
    async run(world) {
      const [alice, bob] = await world.people('alice', 'bob');
      const dm = await alice.dm(bob);
      await alice.say(dm, 'before');
      await bob.sync();
      await bob.listen();
      await alice.say(dm, 'listening?');
      ok((await bob.heard(1, { id: dm })).length >= 1, 'bob hears before the restart');
      const how = await world.node.stop();
      strictEqual(how, 'exit 0', 'the node ends in order');
      const took = await world.node.start();
      await alice.say(dm, 'while bob is away');
      // An SDK fetches what it missed before it streams on, and does not stream that again.
      ok((await bob.heard(1, { kind: 'restarted', seconds: 60 })).length >= 1, "bob's stream comes back");
      await alice.say(dm, 'after');
      await eventually('bob hears what is said after the restart', 30, async () =>
        (await bob.heard(0, { id: dm })).some((one) => one.text === 'after'),
      );
      const everything = ['before', 'listening?', 'while bob is away', 'after'];
      await bob.sees(dm, everything);
      await alice.sees(dm, everything);
      world.note(`ready again in ${took} ms`);
    },
  },
  {
    name: 'revocation',
    async run(world) {
      const [alice, bob] = await world.people('alice', 'bob');
      const lost = await world.secondDevice(alice, { own: true });
      same((await alice.inboxState()).installations, [alice.installation, lost.installation].sort());
      await alice.revokeOthers();
      same((await alice.inboxState()).installations, [alice.installation]);
      same((await lost.inboxState()).installations, [alice.installation]);
      const dm = await bob.dm(alice);
      await bob.say(dm, 'only for the device that is left');
      await alice.sync();
      await alice.sees(dm, ['only for the device that is left']);
      // Ours says so; official ones do not.
      await lost.sync().catch((error) => ok(/revoked/.test(error.message), error.message));
      ok(!(await lost.conversations()).some((one) => one.id === dm), 'the revoked device is not invited');
    },
  },
  {
    name: 'contract wallet (ERC-1271)',
    needs: 'chain',
    async run(world) {
      const owner = await world.account('alice');
      const wallet = await world.chain.deployedWallet(owner.address, owner.key);
      await contractWallet(world, wallet);
    },
  },
  {
    name: 'future wallet (ERC-6492)',
    needs: 'chain',
    async run(world) {
      const owner = await world.account('alice');
      const wallet = await world.chain.counterfactualWallet(owner.address, owner.key);
      await contractWallet(world, wallet);
    },
  },
  {
    name: 'burst',
    seconds: 240,
    rounds: { short: 2, full: 20 },
    run: burst,
  },
];

/** The scenarios in which SDKs and APIs meet; `world.parties` are those that are installed. */
export const meetings = [
  {
    name: 'first contact',
    async run(world) {
      const people = await everyParty(world);
      const [first, ...others] = people;
      for (const other of others) {
        const dm = await first.dm(other);
        await first.say(dm, `hello ${other.who}`);
        await other.sync();
        await other.say(dm, `hello ${first.who}`);
        await first.sees(dm, [`hello ${other.who}`, `hello ${first.who}`]);
      }
    },
  },
  {
    name: 'one group over both APIs',
    seconds: 240,
    async run(world) {
      const people = await everyParty(world);
      const [founder, ...others] = people;
      const late = others.pop();
      const picnic = await founder.group(others, { groupName: 'picnic' });
      await Promise.all(others.map((one) => one.sync()));
      await Promise.all(people.filter((one) => one !== late).map((one) => one.listen()));
      const said = [];
      for (const one of [founder, ...others]) {
        await one.read(picnic);
        await one.say(picnic, `from ${one.who}`);
        said.push(`from ${one.who}`);
      }
      for (const one of [founder, ...others]) await one.sees(picnic, said);

      // Anyone may invite, rename and speak, whatever API they came through.
      const inviter = others.at(-1);
      await inviter.read(picnic);
      await inviter.add(picnic, late);
      await late.sync();
      await late.say(picnic, `from ${late.who}`);
      said.push(`from ${late.who}`);
      await founder.update(picnic, { name: 'dinner' });
      for (const one of people) {
        const seen = await one.read(picnic);
        strictEqual(seen.name, 'dinner', one.who);
        same(seen.members, people.map((member) => member.inbox).sort(), one.who);
        const texts = seen.messages.filter((message) => message.type === 'text').map((message) => message.text);
        same(texts, one === late ? said.slice(-1) : said, one.who);
      }
      for (const one of [founder, ...others]) {
        const heard = await one.heard(said.length, { id: picnic });
        same(heard.map((message) => message.text), said, `what ${one.who} heard`);
      }

      // And who is removed is out everywhere.
      await founder.remove(picnic, late);
      await founder.say(picnic, 'afterwards');
      await inviter.sees(picnic, [...said, 'afterwards']);
      strictEqual((await late.read(picnic)).active, false);
    },
  },
  {
    name: 'burst over both APIs',
    seconds: 240,
    rounds: { short: 2, full: 20 },
    run: burst,
  },
  ...['v3', 'd14n'].map(threeOfOursAndTwoOfficial),
];

/** The burst with three listeners of ours and two official ones, all of them over one API. */
function threeOfOursAndTwoOfficial(api) {
  return {
    name: `burst, three of ours and two official listeners over ${api}`,
    seconds: 240,
    rounds: { short: 1, full: 100 },
    needs: 'ours',
    async run(world) {
      const ours = { sdk: 'ours', api };
      const official = world.parties.filter((party) => party.sdk !== 'ours' && party.api === api);
      // Another pair listens each time, and the sender is ours every second time.
      const turn = (index) => official[(world.round + index) % official.length];
      await burst(world, {
        sender: world.round % 2 ? ours : turn(2),
        listeners: [ours, ours, ours, turn(0), turn(1)],
        joiners: [ours, turn(2), ours, turn(0)],
      });
    },
  };
}

/** One person for each SDK and API that is installed. */
function everyParty(world) {
  return Promise.all(world.parties.map(({ sdk, api }) => world.person(`${sdk} ${api}`, { sdk, api })));
}

/** A contract wallet opens an inbox, is found, and talks; its key is asked for a second time, too. */
async function contractWallet(world, wallet) {
  const alice = await world.person('alice', { wallet });
  const bob = await world.person('bob');
  same(await bob.reachable(alice), [true]);
  same((await alice.inboxState()).accounts, [wallet.address.toLowerCase()]);
  const dm = await bob.dm(alice);
  await bob.say(dm, 'who signs for you?');
  await alice.sync();
  await alice.say(dm, 'a contract');
  await bob.sees(dm, ['who signs for you?', 'a contract']);
  const laptop = await world.secondDevice(alice, { own: true });
  strictEqual(laptop.inbox, alice.inbox);
  same((await alice.inboxState()).installations, [alice.installation, laptop.installation].sort());
}

/**
 * Four people join while two hundred messages go to those who listen; all hear all, in order. The
 * parties say what each is; without them all are of the suite's SDK, or of every one in turn.
 */
async function burst(world, parties) {
  const texts = Array.from({ length: 200 }, (_, index) => `message ${index + 1}`);
  const every = (index) => (world.parties ? world.parties[index % world.parties.length] : {});
  const { sender, listeners, joiners } = parties ?? {
    sender: every(0),
    listeners: [every(1), every(2)],
    joiners: [every(3), every(4), every(5), every(6)],
  };
  const alice = await world.person('alice', { ...sender, own: true });
  const names = ['bob', 'carol', 'dave', 'erin', 'frank'];
  const hearers = await Promise.all(listeners.map((party, index) => world.person(names[index], { ...party, own: true })));
  const newcomers = await Promise.all(joiners.map((party, index) => world.person(`newcomer ${index + 1}`, party)));
  const group = await alice.group(hearers);
  await Promise.all(hearers.map((one) => one.sync()));
  await Promise.all(hearers.map((one) => one.listen()));
  const sent = alice.sayAll(group, texts);
  const joined = (async () => {
    for (const [index, newcomer] of newcomers.entries()) {
      const inviter = index % 2 === 0 ? alice : hearers[0];
      await inviter.add(group, newcomer);
      await newcomer.sync();
    }
  })();
  await Promise.all([sent, joined]);
  for (const one of hearers) {
    const heard = await one.heard(texts.length, { id: group, seconds: 90 });
    same(heard.map((message) => message.text), texts, `what ${one.who} (${one.sdk} ${one.api}) heard`);
    await one.sees(group, texts);
  }
  for (const newcomer of newcomers) {
    const { members } = await newcomer.read(group);
    strictEqual(members.length, 1 + hearers.length + newcomers.length, `members that ${newcomer.who} sees`);
  }
  await agree(group, [alice, ...hearers, ...newcomers]);
}
