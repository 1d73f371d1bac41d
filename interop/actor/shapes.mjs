// What the official command line prints for objects of the official SDK, by the name of the
// command: the fields that each of its commands takes from them. One JSON request per line comes
// in, one reply per line goes out.
//
//   node shapes.mjs SDK API-URL PRIVATE-KEY DATABASE

import { createInterface } from 'node:readline';

import { privateKeyToAccount } from 'viem/accounts';

const [sdkName, apiUrl, key, dbPath] = process.argv.slice(2);
const sdk = await import(sdkName);
const account = privateKeyToAccount(key);
const ethereum = (address) => ({ identifier: address.toLowerCase(), identifierKind: sdk.IdentifierKind.Ethereum });
const signer = {
  type: 'EOA',
  getIdentifier: () => ethereum(account.address),
  signMessage: async (message) => Buffer.from((await account.signMessage({ message })).slice(2), 'hex'),
};
try {
  sdk.ApiUrls.local = apiUrl;
} catch {
  // A frozen table; `apiUrl` below has to do.
}
const client = await sdk.Client.create(signer, {
  env: 'local',
  apiUrl,
  dbPath,
  dbEncryptionKey: new Uint8Array(32).fill(7),
  disableDeviceSync: true,
  loggingLevel: sdk.LogLevel.Off,
});
const { conversations, preferences } = client;

const isGroup = (one) => one instanceof sdk.Group;
const pick = (from, names) => Object.fromEntries(names.map((name) => [name, from[name]]));
const member = (one) => pick(one, ['inboxId', 'accountIdentifiers', 'installationIds', 'permissionLevel', 'consentState']);
const shortMember = (one) => pick(one, ['inboxId', 'accountIdentifiers', 'permissionLevel']);
const about = (one) => (isGroup(one) ? pick(one, ['name', 'description', 'imageUrl']) : pick(one, ['peerInboxId']));
const message = (one, more = []) => ({
  ...pick(one, ['id', 'senderInboxId', 'contentType', 'content', 'sentAt', 'deliveryStatus', ...more]),
});
const inboxState = (state) => ({
  ...pick(state, ['inboxId', 'recoveryIdentifier', 'identifiers']),
  installations: state.installations.map((one) => pick(one, ['id', 'clientTimestampNs'])),
});
const known = async (id) => {
  const found = await conversations.getConversationById(id);
  if (!found) throw new Error(`no conversation ${id}`);
  return found;
};
const rules = (group) => pick(group.permissions(), ['policyType', 'policySet']);

const commands = {
  self: async () => ({ inboxId: client.inboxId, installationId: client.installationId, address: account.address.toLowerCase() }),
  'sync-all': async () => ({ numGroupsSynced: await conversations.syncAll() }),
  say: async (id, text) => (await known(id)).sendText(text),
  'create-dm': async (address) => {
    const dm = await conversations.createDmWithIdentifier(ethereum(address));
    return {
      ...pick(dm, ['id', 'peerInboxId', 'createdAt', 'isActive']),
      consentState: dm.consentState(),
      creatorInboxId: (await dm.metadata()).creatorInboxId,
      members: (await dm.members()).map(shortMember),
    };
  },
  'create-group': async (address, name) => {
    const group = await conversations.createGroupWithIdentifiers([ethereum(address)], { groupName: name });
    const members = await group.members();
    return {
      ...pick(group, ['id', 'name', 'description', 'imageUrl', 'createdAt']),
      memberCount: members.length,
      members: members.map(shortMember),
    };
  },
  list: async () =>
    (await conversations.list()).map((one) => ({
      ...pick(one, ['id', 'createdAt', 'isActive']),
      type: isGroup(one) ? 'group' : 'dm',
      consentState: one.consentState(),
      ...about(one),
    })),
  get: async (id) => {
    const one = await known(id);
    const members = await one.members();
    return {
      ...pick(one, ['id', 'createdAt', 'createdAtNs', 'isActive', 'addedByInboxId']),
      type: isGroup(one) ? 'group' : 'dm',
      consentState: one.consentState(),
      creatorInboxId: (await one.metadata()).creatorInboxId,
      memberCount: members.length,
      members: members.map(member),
      ...about(one),
      ...(isGroup(one) ? { admins: one.listAdmins(), superAdmins: one.listSuperAdmins(), permissions: rules(one) } : {}),
    };
  },
  'get-message': async (id) => {
    const one = conversations.getMessageById(id);
    return {
      ...message(one, ['conversationId', 'kind', 'fallback', 'numReplies']),
      reactions: one.reactions.map((reaction) => pick(reaction, ['id', 'senderInboxId', 'content', 'sentAt'])),
    };
  },
  'hmac-keys': async () =>
    Object.fromEntries(
      Object.entries(conversations.hmacKeys()).map(([id, keys]) => [
        id,
        keys.map(({ key: bytes, epoch }) => ({ key: Buffer.from(bytes).toString('hex'), epoch })),
      ]),
    ),
  messages: async (id) => (await (await known(id)).messages({ direction: sdk.SortDirection.Ascending })).map((one) => message(one)),
  members: async (id) => (await (await known(id)).members()).map(member),
  permissions: async (id) => ({ conversationId: id, permissions: rules(await known(id)) }),
  'consent-state': async (id) => ({ conversationId: id, consentState: (await known(id)).consentState() }),
  'debug-info': async (id) => ({ conversationId: id, debugInfo: await (await known(id)).debugInfo() }),
  'inbox-states': async (id) => (await preferences.fetchInboxStates([id])).map(inboxState),
  'key-package-status': async (id) => ({ installationIds: [id], statuses: await client.fetchKeyPackageStatuses([id]) }),
};

const asText = (value) => JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? one.toString() : one));
const requests = createInterface({ input: process.stdin });
requests.on('line', async (line) => {
  const { number, command, args } = JSON.parse(line);
  try {
    process.stdout.write(`${asText({ number, result: (await commands[command](...args)) ?? null })}\n`);
  } catch (error) {
    process.stdout.write(`${asText({ number, error: String(error?.stack ?? error) })}\n`);
  }
});
requests.on('close', () => process.exit(0));
process.stdout.write(`${asText({ ready: true })}\n`);
