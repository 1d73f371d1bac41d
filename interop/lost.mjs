// Devices that lose their place, between two clients of different make: revoked, locked out, or
// linked again as a new installation. The words are those of encounters.mjs.

import { deepStrictEqual as same, ok, rejects, strictEqual } from 'node:assert';

import { eventually } from './lib/time.mjs';
import { agree, both, textsOf } from './lib/words.mjs';

/** The scenarios; what may stand beside `name` is told in encounters.mjs. */
export const lostDevices = [
  {
    name: 'revocation',
    seconds: 120,
    async run(world) {
      const bob = await world.stranger('bob');
      const phone = await world.person('alice', { own: true });
      const lost = await world.secondDevice(phone, { sdk: world.suite.other, own: true });
      const group = await bob.group([phone]);
      await Promise.all([phone.meets(group), lost.meets(group)]);
      await bob.say(group, 'to both');
      await lost.sees(group, ['to both']);
      await phone.revokeOthers();
      same((await phone.inboxState()).installations, [phone.installation]);
      same((await lost.inboxState()).installations, [phone.installation]);
      await eventually('the lost device is out', 60, async () => {
        await bob.say(group, 'who is there?');
        await phone.read(group);
        return !(await lost.read(group)).active;
      });
      await bob.say(group, 'only to one');
      ok((await phone.texts(group)).includes('only to one'));
      ok(!(await lost.texts(group)).includes('only to one'));
      await agree(group, [bob, phone]);
    },
  },
  {
    name: 'revocation without a client',
    seconds: 120,
    async run(world) {
      const [bob, helper] = await both(world, 'bob', 'helper');
      const lost = await world.person('alice', { own: true });
      const laptop = await world.secondDevice(lost, { sdk: world.suite.other, own: true });
      const group = await bob.group([laptop]);
      await Promise.all([lost.meets(group), laptop.meets(group)]);
      // Whoever has the account's key needs neither a database nor a client for it.
      await helper.revokeFor(lost, lost.installation);
      for (const one of [laptop, lost]) same((await one.inboxState()).installations, [laptop.installation], one.who);
      await eventually('the lost device is out', 60, async () => {
        await laptop.read(group);
        await laptop.say(group, 'who is there?');
        await bob.read(group);
        await bob.say(group, 'we are');
        return !(await lost.read(group)).active;
      });
      await bob.say(group, 'only to one');
      ok((await laptop.texts(group)).includes('only to one'));
      ok(!(await lost.texts(group)).includes('only to one'));
      await agree(group, [bob, laptop]);
    },
  },
  {
    name: 'a device linked again',
    needs: 'ours',
    pages: false,
    seconds: 150,
    async run(world) {
      const { alice, bob, dave } = await withOurs(world);
      const group = await alice.group([bob, dave], { groupName: 'club' });
      const dm = await dave.dm(bob);
      await Promise.all([bob.meets(group), bob.meets(dm), dave.meets(group)]);
      await alice.say(group, 'before');
      await dave.say(dm, 'psst');
      await Promise.all([bob.sees(group, ['before']), bob.sees(dm, ['psst'])]);

      await linkedAgain(bob, [alice, dave]);
      await keeps(bob, [group, ['before']], [dm, ['psst']]);
      ok(/waits/.test((await bob.state(group)).trouble), 'the group waits for somebody to add the new installation');
      await talkAgain({ alice, bob, dave, group, dm });

      // The same after somebody with the account's key revoked it, and the group went on without it.
      await dave.revokeFor(bob, bob.installation);
      await eventually('bob is told', 60, async () => {
        await alice.say(group, 'without bob');
        const told = await bob.sync().then(() => '', String);
        return /revoked/.test(told);
      });
      await rejects(bob.say(group, 'hello?'), /revoked/, 'a revoked device speaks');
      const kept = await storedTexts(bob, group);
      await linkedAgain(bob, [alice, dave]);
      await keeps(bob, [group, kept]);
      await talkAgain({ alice, bob, dave, group, dm });
      await agree(group, [alice, dave, bob]);
    },
  },
  {
    name: 'a key package that ran out',
    needs: 'ours',
    long: true,
    seconds: 150,
    async run(world) {
      const { alice, bob, dave, group } = await lockedOut(world);
      // He asks by himself, and a super admin's client of ours adds him again. An official one does
      // not answer, so there its person does it.
      if (alice.sdk !== 'ours') {
        await alice.remove(group, bob);
        await alice.add(group, bob);
      }
      await eventually('bob is back', 60, async () => {
        await alice.sync();
        await bob.sync();
        await bob.read(group);
        return (await bob.state(group)).trouble === null;
      });
      await bob.say(group, 'here again');
      for (const one of [alice, dave]) ok((await one.texts(group)).includes('here again'), one.who);
      await alice.say(group, 'welcome back');
      ok((await bob.texts(group)).includes('welcome back'));
      await agree(group, [alice, dave, bob]);
    },
  },
  {
    name: 'linked again where a key package ran out',
    needs: 'ours',
    pages: false,
    long: true,
    seconds: 150,
    async run(world) {
      const { alice, bob, dave, group } = await lockedOut(world);
      const dm = await dave.dm(bob);
      await bob.meets(dm);
      await linkedAgain(bob, [alice, dave]);
      await keeps(bob, [group, ['before']]);
      await talkAgain({ alice, bob, dave, group, dm });
      await agree(group, [alice, dave, bob]);
    },
  },
];

/** Alice with the suite's SDK, dave with the official one, and bob with ours. */
async function withOurs(world) {
  const official = [world.suite.sdk, world.suite.other].find((sdk) => sdk !== 'ours');
  const [alice, bob, dave] = await Promise.all([
    world.person('alice'),
    world.person('bob', { sdk: 'ours', stored: true }),
    world.person('dave', { sdk: official }),
  ]);
  return { alice, bob, dave };
}

/** People as `withOurs`, in a group with which bob cannot go on: a commit has a package that is over. */
async function lockedOut(world) {
  const { alice, bob, dave } = await withOurs(world);
  const group = await alice.group([bob, dave]);
  await Promise.all([bob.meets(group), dave.meets(group)]);
  await alice.say(group, 'before');
  await bob.sees(group, ['before']);

  // What carol uploads is over in a moment; who is there in time takes the commit with it.
  const seconds = 10;
  const over = Date.now() + seconds * 1000;
  const carol = await world.person('carol', { sdk: 'ours', packageSeconds: seconds });
  await alice.add(group, carol);
  await alice.say(group, 'during');
  await eventually('it is over', seconds + 20, () => Date.now() > over + 1000);
  await bob.read(group);
  const { trouble } = await bob.state(group);
  ok(/expired/.test(trouble), `bob says at once that he cannot follow: ${trouble}`);
  await rejects(bob.say(group, 'hello?'), 'who cannot follow speaks');
  ok((await bob.texts(group)).includes('before'), 'what was said stays readable');
  await dave.read(group);
  await dave.say(group, 'dave follows');
  return { alice, bob, dave, group };
}

/** A new installation takes the place of `device`'s, and all of `others` see it in the identity log. */
async function linkedAgain(device, others) {
  const old = device.installation;
  await device.relink();
  ok(device.installation !== old, 'a new installation');
  for (const one of [device, ...others]) {
    const { installations } = one === device ? await one.inboxState() : await one.inboxStateOf(device);
    same(installations, [device.installation], `what ${one.who} knows of ${device.who}'s installations`);
  }
}

/** Fails unless each conversation begins with the texts that were there before, after a restart too. */
async function keeps(device, ...before) {
  const check = async (when) => {
    for (const [id, texts] of before) same((await storedTexts(device, id)).slice(0, texts.length), texts, when);
  };
  await check('at once');
  await device.close();
  await device.open(device.options);
  await check('after a restart');
}

/** Both conversations go on in both directions, with bob's new installation and without the old one. */
async function talkAgain({ alice, bob, dave, group, dm }) {
  const from = (await dave.texts(dm)).length;
  await bob.say(dm, `here again ${from}`);
  await eventually('the dm goes on', 60, async () => {
    await dave.sync();
    return (await dave.texts(dm)).includes(`here again ${from}`);
  });
  await dave.say(dm, `good ${from}`);
  await eventually('dave is heard', 60, async () => {
    await bob.sync();
    return (await storedTexts(bob, dm)).includes(`good ${from}`);
  });

  // Senders look for new devices of members every few seconds.
  await eventually('the group goes on', 60, async () => {
    await alice.read(group);
    await alice.say(group, 'is he back?');
    await bob.sync();
    return (await bob.state(group)).trouble === null;
  });
  await bob.say(group, 'thanks');
  for (const one of [alice, dave]) {
    ok((await one.texts(group)).includes('thanks'), one.who);
    same(await one.devices(group, bob), [bob.installation], `bob's devices in the group, as ${one.who} sees them`);
  }
  await dave.say(group, 'welcome back');
  for (const one of [alice, bob]) strictEqual((await one.texts(group)).at(-1), 'welcome back', one.who);
}

/** Texts as they lie in the database: a conversation may not be one that can be fetched. */
async function storedTexts(client, id) {
  return textsOf((await client.read(id, { offline: true })).messages);
}
