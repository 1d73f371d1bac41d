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
     * it owns, if that is the account. `network` is `{ apiUrl }` or `{ gatewayHost }`.
     */
    async open({ who, key, wallet, network, historySyncUrl, deviceSync = false }) {
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
        dbPath: null,
        disableDeviceSync: !deviceSync,
        loggingLevel: sdk.LogLevel?.Off,
        ...(historySyncUrl ? { historySyncUrl } : {}),
        ...network,
      });
      open.set(who, { client, signer, historySyncUrl, heard: [], told: () => {} });
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
      return (await at(who).client.conversations.createGroup(inboxes, options)).id;
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

    async react({ who, id, to, emoji }) {
      return (await conversation(who, id)).sendReaction({
        reference: to.id,
        referenceInboxId: to.from,
        action: sdk.ReactionAction?.Added ?? 1,
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

    async update({ who, id, name, description, imageUrl }) {
      const group = await conversation(who, id);
      if (name !== undefined) await group.updateName(name);
      if (description !== undefined) await group.updateDescription(description);
      if (imageUrl !== undefined) await group.updateImageUrl(imageUrl);
    },

    async promote({ who, id, inbox }) {
      await (await conversation(who, id)).addAdmin(inbox);
    },

    /** Fetches everything that is new. */
    async sync({ who }) {
      await at(who).client.conversations.syncAll();
    },

    async conversations({ who }) {
      const all = await at(who).client.conversations.list();
      return all.map((one) => ({ id: one.id, kind: one instanceof sdk.Dm ? 'dm' : 'group' }));
    },

    /** A conversation as this person sees it, after fetching what is new in it. */
    async read({ who, id }) {
      const found = await conversation(who, id);
      await found.sync();
      const isGroup = found instanceof sdk.Group;
      const active = typeof found.isActive === 'function' ? await found.isActive() : found.isActive;
      const members = (await found.members()).map((member) => member.inboxId).sort();
      const messages = await Promise.all((await found.messages()).map((message) => plain(message)));
      return {
        active,
        members,
        messages,
        ...(isGroup
          ? {
              name: found.name,
              description: found.description,
              imageUrl: found.imageUrl,
              admins: (await found.listAdmins()).sort(),
            }
          : {}),
      };
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

    /** The inbox's accounts and installations, fresh from the network. */
    async inbox({ who }) {
      const { preferences } = at(who).client;
      const state = await (preferences.fetchInboxState ?? preferences.inboxState).call(preferences);
      return {
        accounts: (state.identifiers ?? state.accountIdentifiers).map((one) => one.identifier).sort(),
        installations: state.installations.map((one) => one.id).sort(),
      };
    },

    /** Takes the right to speak from every installation of the inbox but this one. */
    async revokeOthers({ who }) {
      await at(who).client.revokeAllOtherInstallations();
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

    async close({ who }) {
      const person = at(who);
      open.delete(who);
      await person.stream?.end();
      person.client.close?.();
    },
  };
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
  const reactions = (message.reactions ?? []).map((one) => ({ from: one.senderInboxId, emoji: one.content?.content }));
  const base = { id: message.id, from: message.senderInboxId, conversation: message.conversationId, type, reactions };
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
        changed: content.metadataFieldChanges.map((change) => change.fieldName),
      };
    default:
      return base;
  }
}

/** JSON text of any result: byte strings as hex digits, big integers as decimal text. */
export function asJson(value) {
  return JSON.stringify(value ?? null, (_, inner) => {
    if (typeof inner === 'bigint') return inner.toString();
    if (inner instanceof Uint8Array) return toHex(inner);
    return inner;
  });
}
