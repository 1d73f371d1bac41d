// Where a text was lost that one client shows and another lacks: never at the node, not in its
// log, or there and not taken. Reads databases of official clients and the node's own, so it runs
// in Node.js 22, which has SQLite: `node evidence.mjs JSON`.

import { DatabaseSync } from 'node:sqlite';

const { store, lost } = JSON.parse(process.argv[2]);
const log = new DatabaseSync(store, { readOnly: true });

/** Rows of a database, big integers as such. */
function rows(database, query, ...values) {
  const statement = database.prepare(query);
  statement.setReadBigInts(true);
  return statement.all(...values);
}

/** The epoch of the MLS message in an envelope's payload, and whether it is a commit. */
function epochOf(payload, group) {
  const bytes = Buffer.from(payload);
  // A private message: version, kind, the group id with its length, the epoch, the content's type.
  const head = Buffer.concat([Buffer.from([0, 1, 0, 2, group.length]), group]);
  const at = bytes.indexOf(head);
  if (at < 0) return {};
  const after = at + head.length;
  return { epoch: Number(bytes.readBigUInt64BE(after)), type: bytes[after + 8] };
}

/** The envelopes of a conversation, as `{ id, epoch, type }`. */
function envelopes(group) {
  const name = Buffer.concat([Buffer.from([0]), group]);
  const query = 'SELECT envelope.id, payload FROM envelope JOIN topic ON topic.id = topic WHERE name = ? ORDER BY envelope.id';
  return rows(log, query, name).map(({ id, payload }) => ({ id, ...epochOf(payload, group) }));
}

/** What a client's own database has of a text: what was sent under that id, and how far it has read. */
function own(path, group, text) {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const said = rows(
      database,
      'SELECT sequence_id, originator_id, decrypted_message_bytes FROM group_messages WHERE group_id = ?',
      group,
    ).filter(({ decrypted_message_bytes: bytes }) => Buffer.from(bytes).includes(text));
    const read = rows(database, 'SELECT originator_id, sequence_id FROM refresh_state WHERE entity_id = ?', group);
    return { said, read };
  } finally {
    database.close();
  }
}

/** The originator of commits, by both APIs. */
const COMMITS = 0n;

const told = new Set();
for (const { text, conversation, sender, receiver } of lost) {
  const group = Buffer.from(conversation, 'hex');
  const all = envelopes(group);
  const from = sender.path ? own(sender.path, group, text) : undefined;
  const said = from?.said[0];
  const stored = all.find(({ id }) => id === said?.sequence_id);
  const line = [`"${text}" of ${sender.who}:`];
  if (!from) line.push('sent by a client whose database only it can read');
  else if (!said) line.push('not in the database of its sender');
  else if (said.sequence_id === null) line.push('its sender has not sent it');
  else if (!stored) line.push(`its sender says envelope ${said.sequence_id}, which is NOT IN THE LOG of the node`);
  else {
    // Each commit that was accepted was sealed in the epoch that it ended.
    const ended = all.filter(({ id, type }) => id < stored.id && type === 3).map(({ epoch }) => epoch);
    const current = Math.max(-1, ...ended) + 1;
    const late = stored.epoch < current ? `, when it was ${current}` : '';
    line.push(`envelope ${stored.id} in the log of the node, sealed in epoch ${stored.epoch}${late}`);
  }
  if (!told.has(line.join(' '))) console.log(line.join(' '));
  told.add(line.join(' '));
  if (!receiver.path || !stored) continue;
  const { read } = own(receiver.path, group, text);
  // Each API has its own name for who gave out an id, but for commits; the ids are those of one log.
  const past = read.some((one) => one.originator_id !== COMMITS && one.sequence_id >= stored.id);
  console.log(`  ${receiver.who} ${past ? 'has read past it' : 'HAS NOT READ so far'}`);
}
