-- Schema 1 of what an XMPP server keeps. SQLite reads it as it is; for PostgreSQL the types are replaced (postgres.rs).
-- Addresses are text, times are microseconds since 1970, lists of text are bytes in which each entry ends with a zero byte.

CREATE TABLE account (
  jid TEXT NOT NULL PRIMARY KEY,
  domain TEXT NOT NULL,
  localpart TEXT NOT NULL,
  disabled INTEGER NOT NULL,
  created INTEGER NOT NULL,
  last_at INTEGER,
  last_status TEXT
) STRICT;
CREATE INDEX account_by_domain ON account (domain, localpart);

CREATE TABLE verifier (
  account TEXT NOT NULL,
  hash INTEGER NOT NULL,
  salt BLOB NOT NULL,
  iterations INTEGER NOT NULL,
  stored_key BLOB NOT NULL,
  server_key BLOB NOT NULL,
  PRIMARY KEY (account, hash)
) STRICT;

-- `oldest`: the version since which all removals are known.
CREATE TABLE roster_version (
  account TEXT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL,
  oldest INTEGER NOT NULL
) STRICT;

-- A contact that was removed stays for a while, so that clients hear of it.
CREATE TABLE roster (
  account TEXT NOT NULL,
  jid TEXT NOT NULL,
  version INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  name TEXT,
  groups BLOB NOT NULL,
  request BLOB,
  PRIMARY KEY (account, jid)
) STRICT;

CREATE TABLE blocklist (
  account TEXT NOT NULL,
  jid TEXT NOT NULL,
  PRIMARY KEY (account, jid)
) STRICT;

CREATE TABLE private_xml (
  account TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  element BLOB NOT NULL,
  PRIMARY KEY (account, namespace, name)
) STRICT;

CREATE TABLE vcard (owner TEXT NOT NULL PRIMARY KEY, card BLOB NOT NULL) STRICT;

-- An owner without address was deleted; its messages go in small steps.
CREATE TABLE archive_owner (number INTEGER PRIMARY KEY AUTOINCREMENT, jid TEXT UNIQUE) STRICT;
-- The bare addresses with which messages were exchanged.
CREATE TABLE peer (number INTEGER PRIMARY KEY AUTOINCREMENT, jid TEXT NOT NULL UNIQUE) STRICT;

-- In the order of arrival of all archives together, so that a group of appends writes few pages.
CREATE TABLE archive (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  owner INTEGER NOT NULL,
  at INTEGER NOT NULL,
  peer INTEGER NOT NULL,
  resource TEXT NOT NULL,
  kind INTEGER NOT NULL,
  id BLOB NOT NULL,
  origin TEXT,
  stanza BLOB NOT NULL
) STRICT;
-- The order of one archive: no two of its messages have the same time. With what most questions filter by, so that they
-- read messages only to return them.
CREATE INDEX archive_order ON archive (owner, at, peer, kind);
CREATE UNIQUE INDEX archive_id ON archive (owner, id);

CREATE TABLE archive_prefs (
  account TEXT NOT NULL PRIMARY KEY,
  otherwise INTEGER NOT NULL,
  always BLOB NOT NULL,
  never BLOB NOT NULL
) STRICT;

CREATE TABLE offline (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  at INTEGER NOT NULL,
  stanza BLOB NOT NULL
) STRICT;
CREATE INDEX offline_by_account ON offline (account, number);

CREATE TABLE node (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  service TEXT NOT NULL,
  name TEXT NOT NULL,
  config BLOB NOT NULL,
  created INTEGER NOT NULL,
  UNIQUE (service, name)
) STRICT;

CREATE TABLE item (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  node INTEGER NOT NULL,
  id TEXT NOT NULL,
  publisher TEXT,
  at INTEGER NOT NULL,
  payload BLOB NOT NULL,
  UNIQUE (node, id)
) STRICT;
CREATE INDEX item_by_node ON item (node, seq);

CREATE TABLE node_subscription (
  node INTEGER NOT NULL,
  jid TEXT NOT NULL,
  account TEXT NOT NULL,
  id TEXT,
  state INTEGER NOT NULL,
  options BLOB NOT NULL,
  PRIMARY KEY (node, jid)
) STRICT;
CREATE INDEX node_subscription_by_account ON node_subscription (account);

CREATE TABLE node_affiliation (
  node INTEGER NOT NULL,
  account TEXT NOT NULL,
  affiliation INTEGER NOT NULL,
  PRIMARY KEY (node, account)
) STRICT;
CREATE INDEX node_affiliation_by_account ON node_affiliation (account);

CREATE TABLE room (
  jid TEXT NOT NULL PRIMARY KEY,
  service TEXT NOT NULL,
  localpart TEXT NOT NULL,
  config BLOB NOT NULL,
  secret BLOB NOT NULL,
  created INTEGER NOT NULL,
  subject BLOB,
  subject_by TEXT,
  subject_at INTEGER
) STRICT;
CREATE INDEX room_by_service ON room (service, localpart);

CREATE TABLE room_member (
  room TEXT NOT NULL,
  account TEXT NOT NULL,
  affiliation INTEGER NOT NULL,
  nick TEXT,
  reason TEXT,
  extra BLOB NOT NULL,
  PRIMARY KEY (room, account)
) STRICT;
CREATE INDEX room_member_by_account ON room_member (account);

CREATE TABLE upload (
  id BLOB NOT NULL PRIMARY KEY,
  owner TEXT,
  name TEXT NOT NULL,
  size INTEGER NOT NULL,
  content_type TEXT,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  state INTEGER NOT NULL
) STRICT;
CREATE INDEX upload_by_owner ON upload (owner, created);
CREATE INDEX upload_by_expiry ON upload (expires);

CREATE TABLE token (
  account TEXT NOT NULL,
  client TEXT NOT NULL,
  slot INTEGER NOT NULL,
  mechanism TEXT NOT NULL,
  token BLOB NOT NULL,
  issued INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (account, client, slot)
) STRICT;

CREATE TABLE push (
  account TEXT NOT NULL,
  service TEXT NOT NULL,
  node TEXT NOT NULL,
  options BLOB,
  client TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (account, service, node)
) STRICT;

CREATE TABLE invite (
  token TEXT NOT NULL PRIMARY KEY,
  kind INTEGER NOT NULL,
  inviter TEXT,
  account TEXT,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  uses INTEGER NOT NULL
) STRICT;
CREATE INDEX invite_by_inviter ON invite (inviter, created);
CREATE INDEX invite_by_account ON invite (account);

CREATE TABLE secret (name TEXT NOT NULL PRIMARY KEY, secret BLOB NOT NULL) STRICT;

-- One row, written to see whether the database takes writes.
CREATE TABLE xmpp_check (number INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;
