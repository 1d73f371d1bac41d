// What a person can do with an official SDK, as named operations on plain JSON. The same file
// runs in Node.js with a native SDK and in a page with the browser SDK.

import { concat, encodeAbiParameters, hexToBytes, toHex } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

/** The suffix that marks a signature of a wallet that is not deployed yet (ERC-6492). */
const ERC6492_MAGIC = '0x6492649264926492649264926492649264926492649264926492649264926492';

/** The operations, on the SDK module `sdk`; each takes and gives JSON values. */
export function operations(sdk) {
  const open = new Map();

  const at = (who) => {
    const person = open.get(who);
    if (!person) throw new Error(`nobody opened a client as ${who}`);
    return person;
  };
  const conversation = async (who, id) => {
    const found = await at(who).client.conversations.getConversationById(id);
    if (!found) throw new Error(`${who} does not know conversation ${id}`);
    return found;
  };

  return {
    /**
     * Creates a client. `key` is the wallet's private key; `wallet` describes a contract that
     * it owns, if that is the account. `network` is `{ apiUrl }` or `{ gatewayHost }`. `path` is
     * the database's file; without one it is in memory; `readable` leaves it unencrypted.
     */
    async open({ who, key, wallet, network, historySyncUrl, path, deviceSync = false, readable = false, logs = 'Off' }) {
      if (network.apiUrl && sdk.ApiUrls && sdk.ApiUrls.local !== network.apiUrl) {
        // Some versions resolve inbox ids at the environment's own address, whatever apiUrl says.
        try {
          sdk.ApiUrls.local = network.apiUrl;
        } catch {
          // A frozen table: the node has to listen on the default port then.
        }
      }
      const signer = signerFor(sdk, key, wallet);
      const client = await sdk.Client.create(signer, {
        env: 'local',
        dbPath: path ?? null,
        ...(path && !readable ? { dbEncryptionKey: new Uint8Array(32).fill(7) } : {}),
        disableDeviceSync: !deviceSync,
        loggingLevel: sdk.LogLevel?.[logs],
        ...(historySyncUrl ? { historySyncUrl } : {}),
        ...network,
      });
      open.set(who, { client, signer, network, historySyncUrl, heard: [], told: () => {} });
      return { inbox: client.inboxId, installation: client.installationId, version: client.libxmtpVersion };
    },

    /** Whether each of the addresses has an inbox. */
    async reachable({ who, addresses }) {
      const identifiers = addresses.map((identifier) => ({ identifier, identifierKind: ethereum(sdk) }));
      const answer = await at(who).client.canMessage(identifiers);
      return addresses.map((address) => answer.get(address) ?? false);
    },

    async dm({ who, inbox }) {
      return (await at(who).client.conversations.createDm(inbox)).id;
    },

    async group({ who, inboxes, options = {} }) {
      return (await at(who).client.conversations.createGroup(inboxes, groupOptions(options))).id;
    },

    async say({ who, id, text }) {
      return (await conversation(who, id)).sendText(text);
    },

    /** Sends all texts, each after the one before was sent. */
    async sayAll({ who, id, texts }) {
      const where = await conversation(who, id);
      for (const text of texts) await where.sendText(text);
      return texts.length;
    },

    /** Sends any content; how it is written stands at `contents` below. */
    async send({ who, id, content }) {
      const { type, ...rest } = content;
      const where = await conversation(who, id);
      if (type === 'custom') return where.send(custom(rest), { shouldPush: false });
      return contents[type].send(where, rest);
    },

    async react({ who, id, to, emoji, removed = false }) {
      return (await conversation(who, id)).sendReaction({
        reference: to.id,
        referenceInboxId: to.from,
        action: removed ? REMOVED : (sdk.ReactionAction?.Added ?? 1),
        content: emoji,
        schema: sdk.ReactionSchema?.Unicode ?? 1,
      });
    },

    async reply({ who, id, to, text }) {
      return (await conversation(who, id)).sendReply({
        reference: to.id,
        referenceInboxId: to.from,
        content: await sdk.encodeText(text),
      });
    },

    async add({ who, id, inboxes }) {
      await (await conversation(who, id)).addMembers(inboxes);
    },

    async remove({ who, id, inboxes }) {
      await (await conversation(who, id)).removeMembers(inboxes);
    },

    /** Takes a message back. The SDKs have no call for it; the content type is theirs. */
    async deleteMessage({ who, id, message }) {
      const content = concatBytes([0x0a, message.length], new TextEncoder().encode(message));
      const type = { authorityId: 'xmtp.org', typeId: 'deleteMessage', versionMajor: 1, versionMinor: 0 };
      return (await conversation(who, id)).send({ type, parameters: {}, content }, { shouldPush: false });
    },

    async update({ who, id, name, description, imageUrl, appData }) {
      const group = await conversation(who, id);
      if (name !== undefined) await group.updateName(name);
      if (description !== undefined) await group.updateDescription(description);
      if (imageUrl !== undefined) await group.updateImageUrl(imageUrl);
      if (appData !== undefined) await group.updateAppData(appData);
    },

    async promote({ who, id, inbox }) {
      await (await conversation(who, id)).addAdmin(inbox);
    },

    async demote({ who, id, inbox }) {
      await (await conversation(who, id)).removeAdmin(inbox);
    },

    async crown({ who, id, inbox }) {
      await (await conversation(who, id)).addSuperAdmin(inbox);
    },

    async uncrown({ who, id, inbox }) {
      await (await conversation(who, id)).removeSuperAdmin(inbox);
    },

    /** Lets `to` (a word of `WHO`) do `what` (a name of `POLICIES`). */
    async permit({ who, id, what, to }) {
      const group = await conversation(who, id);
      for (const [kind, ...field] of POLICIES[what].updates) await group.updatePermission(kind, WHO.indexOf(to), ...field);
    },

    async permissions({ who, id }) {
      const { policyType, policySet } = await (await conversation(who, id)).permissions();
      const policies = Object.entries(POLICIES).map(([name, { key }]) => [name, WHO[policySet[key]] ?? 'other']);
      return { preset: PRESETS[policyType], policies: Object.fromEntries(policies) };
    },

    /** Asks to be let out of the group. */
    async leave({ who, id }) {
      await (await conversation(who, id)).requestRemoval();
    },

    /** Lets messages disappear as `settings` say (`{ fromNs, inNs }`, decimal), or stay. */
    async disappear({ who, id, settings }) {
      const found = await conversation(who, id);
      if (settings) await found.updateMessageDisappearingSettings(BigInt(settings.fromNs), BigInt(settings.inNs));
      else await found.removeMessageDisappearingSettings();
    },

    /** Fetches everything that is new. */
    async sync({ who }) {
      await at(who).client.conversations.syncAll();
    },

    async conversations({ who }) {
      const all = await at(who).client.conversations.list();
      return all.map((one) => ({ id: one.id, kind: one instanceof sdk.Dm ? 'dm' : 'group' }));
    },

    /** A conversation as this person sees it, after fetching what is new in it unless `offline`. */
    async read({ who, id, offline = false }) {
      const found = await conversation(who, id);
      const isActive = async () => (typeof found.isActive === 'function' ? found.isActive() : found.isActive);
      // Who was removed cannot fetch anything any more, and is told so each time.
      if (!offline && (await isActive())) await found.sync();
      const isGroup = found instanceof sdk.Group;
      const active = await isActive();
      const members = (await found.members()).map((member) => member.inboxId).sort();
      const messages = await Promise.all((await found.messages()).map((message) => plain(message)));
      const disappearing = await found.messageDisappearingSettings();
      return {
        active,
        members,
        messages,
        disappearing: Number(disappearing?.inNs ?? 0) > 0 ? disappearing : null,
        ...(isGroup
          ? {
              name: found.name,
              description: found.description,
              imageUrl: found.imageUrl,
              appData: found.appData,
              admins: (await found.listAdmins()).sort(),
              superAdmins: (await found.listSuperAdmins()).sort(),
            }
          : {}),
      };
    },

    /** The epoch of a conversation, and by epoch what all have in common who came the same way. */
    async state({ who, id }) {
      const info = await (await conversation(who, id)).debugInfo();
      return {
        epoch: Number(info.epoch),
        epochs: authenticators(info.localCommitLog),
        trouble: info.maybeForked ? info.forkDetails || 'perhaps forked' : null,
      };
    },

    /** The installations of a member's inbox, as they stand in the conversation. */
    async devices({ who, id, inbox }) {
      const found = await conversation(who, id);
      await found.sync();
      const member = (await found.members()).find((one) => one.inboxId === inbox);
      return [...member.installationIds].sort();
    },

    /** Who has said to have read. */
    async lastRead({ who, id }) {
      const times = await (await conversation(who, id)).lastReadTimes();
      return [...(times instanceof Map ? times.keys() : Object.keys(times))].sort();
    },

    /** Starts the stream of all messages; `heard` tells what came. */
    async listen({ who }) {
      const person = at(who);
      const note = (entry) => {
        person.heard.push(entry);
        person.told();
      };
      const options = {
        retryAttempts: 600,
        retryDelay: 100,
        onError: (error) => note({ kind: 'error', text: String(error?.message ?? error) }),
        onRestart: () => note({ kind: 'restarted' }),
        onFail: () => note({ kind: 'failed' }),
      };
      const stream = await person.client.conversations.streamAllMessages(options);
      person.stream = stream;
      (async () => {
        for await (const message of stream) {
          if (message) note({ kind: 'message', ...(await plain(message)) });
        }
      })().catch((error) => note({ kind: 'ended', text: String(error) }));
    },

    /**
     * What the stream brought, once `count` texts (in conversation `id`, if given) or, with
     * `kind`, entries of that kind are there, or when `seconds` have passed.
     */
    async heard({ who, id, kind, count = 0, seconds = 20 }) {
      const person = at(who);
      const wanted = (entry) =>
        kind ? entry.kind === kind : entry.kind === 'message' && entry.type === 'text' && (!id || entry.conversation === id);
      const deadline = Date.now() + seconds * 1000;
      while (person.heard.filter(wanted).length < count && Date.now() < deadline) {
        await new Promise((resolve) => {
          const timer = setTimeout(resolve, deadline - Date.now());
          person.told = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      return person.heard.filter(wanted);
    },

    /** Everything that is not a message: what went wrong with the stream, and when it came back. */
    async troubles({ who }) {
      return at(who).heard.filter((entry) => entry.kind !== 'message');
    },

    async hangUp({ who }) {
      await at(who).stream?.end();
    },

    async allow({ who, inbox, state }) {
      const entityType = sdk.ConsentEntityType?.InboxId ?? 1;
      await at(who).client.preferences.setConsentStates([{ entityType, entity: inbox, state }]);
    },

    async consent({ who, inbox }) {
      const { preferences } = at(who).client;
      await preferences.sync();
      return preferences.getConsentState(sdk.ConsentEntityType?.InboxId ?? 1, inbox);
    },

    async allowConversation({ who, id, state }) {
      await (await conversation(who, id)).updateConsentState(state);
    },

    async conversationConsent({ who, id }) {
      return (await conversation(who, id)).consentState();
    },

    /** The accounts and installations of the own inbox, or of `inbox`, fresh from the network. */
    async inbox({ who, inbox }) {
      const { preferences } = at(who).client;
      const [state] = inbox
        ? await preferences.fetchInboxStates([inbox])
        : [await (preferences.fetchInboxState ?? preferences.inboxState).call(preferences)];
      return {
        accounts: (state.identifiers ?? state.accountIdentifiers).map((one) => one.identifier).sort(),
        installations: state.installations.map((one) => one.id).sort(),
      };
    },

    /** Takes the right to speak from every installation of the inbox but this one. */
    async revokeOthers({ who }) {
      await at(who).client.revokeAllOtherInstallations();
    },

    /** Revokes installations of any inbox with the key of its account, without a client of it. */
    async revokeFor({ who, key, inbox, installations }) {
      const { network } = at(who);
      const ids = installations.map((one) => hexToBytes(`0x${one}`));
      const where = sdk.createBackend ? [await sdk.createBackend({ env: 'local', ...network })] : ['local', network.gatewayHost];
      await sdk.Client.revokeInstallations(signerFor(sdk, key), inbox, ids, ...where);
    },

    /** Adds a second account, with its own private key, to the inbox. */
    async addAccount({ who, key }) {
      await at(who).client.unsafe_addAccount(signerFor(sdk, key), true);
    },

    async removeAccount({ who, address }) {
      await at(who).client.removeAccount({ identifier: address, identifierKind: ethereum(sdk) });
    },

    /** Asks the inbox's other installations for what was said before this one existed. */
    async askForHistory({ who }) {
      const { client, historySyncUrl } = at(who);
      const archive = client.sendSyncRequest.length >= 2;
      await (archive ? client.sendSyncRequest(undefined, historySyncUrl) : client.sendSyncRequest());
    },

    /** One round of the groups in which an inbox's devices talk; gives how many there are. */
    async syncDevices({ who }) {
      const { client } = at(who);
      await client.conversations.syncAll();
      await client.syncAllDeviceSyncGroups?.();
      return Number((await client.preferences.sync()).numEligible);
    },

    /** Writes everything into a file, as `key` (hex digits) encrypts it. */
    async exportArchive({ who, path, key }) {
      await at(who).client.createArchive(path, hexToBytes(key));
    },

    async importArchive({ who, path, key }) {
      await at(who).client.importArchive(path, hexToBytes(key));
    },

    /** Encrypts a file for a web server. */
    async seal({ attachment, url }) {
      const sealed = await sdk.encryptAttachment(contents.attachment.native(attachment));
      const { payload, ...remote } = sealed;
      return { payload, remote: { ...remote, url, scheme: 'https://' } };
    },

    /** Opens such a file. */
    async unseal({ payload, remote }) {
      const native = contents.remoteStaticAttachment.native(remote);
      return contents.attachment.plain(await sdk.decryptAttachment(hexToBytes(payload), native));
    },

    async close({ who }) {
      const person = at(who);
      open.delete(who);
      await person.stream?.end();
      person.client.close?.();
    },
  };
}

/** Whom a policy lets in, by the SDKs' numbers. */
const WHO = ['everyone', 'nobody', 'admins', 'superAdmins'];
/** Sets of policies, by the SDKs' numbers. */
const PRESETS = ['everyone', 'admins', 'custom'];
/** The policies: what they are called in a set, and what changes them. */
const POLICIES = {
  addMember: { key: 'addMemberPolicy', updates: [[0]] },
  removeMember: { key: 'removeMemberPolicy', updates: [[1]] },
  addAdmin: { key: 'addAdminPolicy', updates: [[2]] },
  removeAdmin: { key: 'removeAdminPolicy', updates: [[3]] },
  name: { key: 'updateGroupNamePolicy', updates: [[4, 2]] },
  description: { key: 'updateGroupDescriptionPolicy', updates: [[4, 1]] },
  imageUrl: { key: 'updateGroupImageUrlSquarePolicy', updates: [[4, 3]] },
  appData: { key: 'updateAppDataPolicy', updates: [[4, 0]] },
  disappearing: { key: 'updateMessageDisappearingPolicy', updates: [[4, 4], [4, 5]] },
};
/** What a set has where nothing else is asked for. */
const USUAL = { addMember: 0, removeMember: 2, addAdmin: 3, removeAdmin: 3, name: 0, description: 0, imageUrl: 0, appData: 0, disappearing: 2 };

/** A group's options: permissions are a preset's word or policies by name. */
function groupOptions({ permissions, disappearing, ...options }) {
  const given = { ...options };
  if (typeof permissions === 'string') given.permissions = PRESETS.indexOf(permissions);
  if (typeof permissions === 'object') {
    given.permissions = PRESETS.indexOf('custom');
    const policies = Object.entries(POLICIES).map(([name, { key }]) => [
      key,
      name in permissions ? WHO.indexOf(permissions[name]) : USUAL[name],
    ]);
    given.customPermissionPolicySet = Object.fromEntries(policies);
  }
  if (disappearing) {
    given.messageDisappearingSettings = { fromNs: BigInt(disappearing.fromNs), inNs: BigInt(disappearing.inNs) };
  }
  return given;
}

/** A content of a type that nobody knows. */
function custom({ authority, name, fallback, data }) {
  const type = { authorityId: authority, typeId: name, versionMajor: 1, versionMinor: 0 };
  return { type, parameters: {}, fallback, content: hexToBytes(data) };
}

/** `{ epoch: authenticator }` from the text in which an SDK shows its log of commits; it shows three bytes. */
function authenticators(log) {
  const applied = /commit_result: Success,.*?applied_epoch_number: (\d+), applied_epoch_authenticator: "([0-9a-f]+)/g;
  return Object.fromEntries([...(log ?? '').matchAll(applied)].map(([, epoch, shown]) => [epoch, shown]));
}

function concatBytes(...parts) {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The same without what is not there, and without what the SDKs' classes add. */
function lean(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined && value !== null));
}

const NANOSECONDS = 1_000_000n;
const toTime = (ns) => (ns === undefined || ns === null ? undefined : new Date(Number(ns / NANOSECONDS)).toISOString());
const fromTime = (text) => (text === undefined ? undefined : BigInt(Date.parse(text)) * NANOSECONDS);
const STYLES = ['primary', 'secondary', 'danger'];

/**
 * Contents by type: `send` sends what scripts write, `plain` turns what an SDK shows into that.
 * Byte strings are hex digits, times are ISO 8601.
 */
const contents = {
  text: { send: (where, { text }) => where.sendText(text) },
  markdown: {
    send: (where, { text }) => where.sendMarkdown(text),
    plain: (content) => ({ text: content }),
  },
  readReceipt: {
    send: (where) => where.sendReadReceipt(),
    plain: () => ({}),
  },
  attachment: {
    native: ({ data, ...rest }) => ({ ...rest, content: hexToBytes(data) }),
    send: (where, file) => where.sendAttachment(contents.attachment.native(file)),
    plain: ({ filename, mimeType, content }) => lean({ filename, mimeType, data: toHex(content) }),
  },
  remoteStaticAttachment: {
    native: ({ secret, salt, nonce, ...rest }) => ({
      ...rest,
      secret: hexToBytes(secret),
      salt: hexToBytes(salt),
      nonce: hexToBytes(nonce),
    }),
    send: (where, remote) => where.sendRemoteAttachment(contents.remoteStaticAttachment.native(remote)),
    plain: ({ url, contentDigest, secret, salt, nonce, scheme, contentLength, filename }) =>
      lean({
        url,
        contentDigest,
        secret: toHex(secret),
        salt: toHex(salt),
        nonce: toHex(nonce),
        scheme,
        contentLength,
        filename,
      }),
  },
  multiRemoteStaticAttachment: {
    send: (where, { attachments }) =>
      where.sendMultiRemoteAttachment({ attachments: attachments.map(contents.remoteStaticAttachment.native) }),
    plain: ({ attachments }) => ({ attachments: attachments.map(contents.remoteStaticAttachment.plain) }),
  },
  transactionReference: {
    send: (where, transaction) => where.sendTransactionReference(transaction),
    plain: ({ namespace, networkId, reference, metadata }) =>
      lean({ namespace, networkId, reference, metadata: metadata && lean(metadata) }),
  },
  walletSendCalls: {
    send: (where, calls) => where.sendWalletSendCalls(calls),
    plain: ({ version, chainId, from, calls, capabilities }) =>
      lean({
        version,
        chainId,
        from,
        calls: calls.map(({ to, data, value, gas, metadata }) =>
          lean({ to, data, value, gas, metadata: metadata && record(metadata) }),
        ),
        capabilities: capabilities && record(capabilities),
      }),
  },
  actions: {
    send: (where, { id, description, actions, expiresAt }) =>
      where.sendActions(
        lean({
          id,
          description,
          actions: actions.map((one) =>
            lean({
              id: one.id,
              label: one.label,
              imageUrl: one.imageUrl,
              style: one.style && STYLES.indexOf(one.style),
              expiresAtNs: fromTime(one.expiresAt),
            }),
          ),
          expiresAtNs: fromTime(expiresAt),
        }),
      ),
    plain: ({ id, description, actions, expiresAtNs }) =>
      lean({
        id,
        description,
        actions: actions.map((one) =>
          lean({
            id: one.id,
            label: one.label,
            imageUrl: one.imageUrl,
            style: STYLES[one.style],
            expiresAt: toTime(one.expiresAtNs),
          }),
        ),
        expiresAt: toTime(expiresAtNs),
      }),
  },
  intent: {
    send: (where, intent) => where.sendIntent(intent),
    plain: ({ id, actionId, metadata }) => lean({ id, actionId, metadata: metadata && tree(metadata) }),
  },
};

/** A map or an object as an object. */
function record(map) {
  return map instanceof Map ? Object.fromEntries(map) : { ...map };
}

/** The same of JSON that an SDK shows with maps and large integers. */
function tree(value) {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(tree);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(record(value)).map(([name, inner]) => [name, tree(inner)]));
}

function ethereum(sdk) {
  return sdk.IdentifierKind?.Ethereum ?? 0;
}

/** An SDK signer: the key's own account, or a contract that it owns. */
function signerFor(sdk, key, wallet) {
  const account = privateKeyToAccount(key);
  const identifierKind = ethereum(sdk);
  if (!wallet) {
    return {
      type: 'EOA',
      getIdentifier: () => ({ identifier: account.address.toLowerCase(), identifierKind }),
      signMessage: async (message) => hexToBytes(await account.signMessage({ message })),
    };
  }
  return {
    type: 'SCW',
    getIdentifier: () => ({ identifier: wallet.address.toLowerCase(), identifierKind }),
    getChainId: () => BigInt(wallet.chain),
    signMessage: async (message) => {
      const signature = await account.signMessage({ message });
      if (!wallet.factory) return hexToBytes(signature);
      const parts = [{ type: 'address' }, { type: 'bytes' }, { type: 'bytes' }];
      return hexToBytes(
        concat([encodeAbiParameters(parts, [wallet.factory, wallet.factoryCall, signature]), ERC6492_MAGIC]),
      );
    },
  };
}

/** A message as plain JSON. */
async function plain(message) {
  const contentType = typeof message.contentType === 'function' ? await message.contentType() : message.contentType;
  const type = contentType?.typeId;
  const reactions = inForce(message.reactions ?? []);
  const published = message.deliveryStatus === PUBLISHED;
  const base = { id: message.id, from: message.senderInboxId, conversation: message.conversationId, published, type, reactions };
  const content = message.content;
  switch (type) {
    case 'text':
      return { ...base, text: content };
    case 'reply':
      return { ...base, text: content.content, to: content.referenceId };
    case 'group_updated':
      return {
        ...base,
        added: content.addedInboxes.map((one) => one.inboxId),
        removed: content.removedInboxes.map((one) => one.inboxId),
        left: (content.leftInboxes ?? []).map((one) => one.inboxId),
        changed: content.metadataFieldChanges.map((change) => change.fieldName),
      };
    case 'deletedMessage':
      // One SDK has words for it, another numbers.
      return { ...base, by: ['sender', 'admin'][content?.deletedBy] ?? String(content?.deletedBy).toLowerCase() };
    default: {
      const known = contents[type]?.plain && content !== undefined && content !== null;
      return known
        ? { ...base, content: { type, ...contents[type].plain(content) } }
        : { ...base, fallback: message.fallback ?? null };
    }
  }
}

/** The reactions that were not taken back; the SDKs show every one, and that it was. */
function inForce(messages) {
  const reactions = new Map();
  for (const { senderInboxId: from, content } of messages) {
    const emoji = content?.content;
    reactions.delete(`${from} ${emoji}`);
    if (content?.action !== REMOVED) reactions.set(`${from} ${emoji}`, { from, emoji });
  }
  return [...reactions.values()];
}

/** Whether a message has reached the network, by the SDKs' numbers. */
const PUBLISHED = 1;

/** What a reaction does that goes. */
const REMOVED = 2;

/** JSON text of any result: byte strings as hex digits, big integers as decimal text. */
export function asJson(value) {
  return JSON.stringify(value ?? null, (_, inner) => {
    if (typeof inner === 'bigint') return inner.toString();
    if (inner instanceof Uint8Array) return toHex(inner);
    return inner;
  });
}
