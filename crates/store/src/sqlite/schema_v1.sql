-- Schema 1. Ids are `count << 12 | slot`; on one node an envelope's sequence is its id, and then it is not stored again.
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE topic (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE);

-- In the order of ids, so that a group of appends to many topics writes few pages.
CREATE TABLE envelope (
  id INTEGER PRIMARY KEY,
  topic INTEGER NOT NULL,
  originator INTEGER NOT NULL,
  sequence INTEGER,
  form INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  time_ns INTEGER NOT NULL,
  previous_commit INTEGER NOT NULL,
  sender_hmac BLOB NOT NULL,
  payload BLOB NOT NULL
);

-- Each index ends with the id, so that each topic is in order too.
CREATE INDEX by_topic ON envelope (topic);

-- Replication reads by originator, housekeeping by age.
CREATE INDEX by_originator ON envelope (originator);
-- A clock's entry for commits need not read the messages between them.
CREATE INDEX commits ON envelope (topic) WHERE originator = 0;

CREATE TABLE fingerprint (
  topic INTEGER NOT NULL,
  fingerprint BLOB NOT NULL,
  id INTEGER NOT NULL,
  PRIMARY KEY (topic, fingerprint)
) WITHOUT ROWID;
-- Housekeeping removes by id.
CREATE INDEX fingerprint_by_id ON fingerprint (id);

CREATE TABLE address (
  kind INTEGER NOT NULL,
  text TEXT NOT NULL,
  association INTEGER NOT NULL,
  inbox BLOB NOT NULL,
  revoked INTEGER,
  PRIMARY KEY (kind, text, association)
) WITHOUT ROWID;

CREATE TABLE commit_log (
  group_id BLOB NOT NULL,
  sequence INTEGER NOT NULL,
  entry BLOB NOT NULL,
  signature BLOB NOT NULL,
  signer BLOB NOT NULL,
  PRIMARY KEY (group_id, sequence)
) WITHOUT ROWID;

CREATE TABLE signature (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
