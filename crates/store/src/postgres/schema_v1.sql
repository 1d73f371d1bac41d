-- Schema 1: the same tables as the embedded store's, with PostgreSQL's types.
CREATE TABLE meta (key TEXT PRIMARY KEY, value BIGINT NOT NULL);

CREATE TABLE topic (id BIGSERIAL PRIMARY KEY, name BYTEA NOT NULL UNIQUE);

CREATE TABLE envelope (
  topic BIGINT NOT NULL,
  id BIGINT NOT NULL,
  originator BIGINT NOT NULL,
  sequence BIGINT NOT NULL,
  form SMALLINT NOT NULL,
  flags SMALLINT NOT NULL,
  time_ns BIGINT NOT NULL,
  previous_commit BIGINT NOT NULL,
  sender_hmac BYTEA NOT NULL,
  payload BYTEA NOT NULL,
  PRIMARY KEY (topic, id)
);
-- What is encrypted does not compress.
ALTER TABLE envelope ALTER COLUMN payload SET STORAGE EXTERNAL;
CREATE INDEX envelope_by_originator ON envelope (originator, sequence);
CREATE INDEX envelope_by_topic_and_originator ON envelope (topic, originator, sequence);

CREATE TABLE fingerprint (
  topic BIGINT NOT NULL,
  fingerprint BYTEA NOT NULL,
  id BIGINT NOT NULL,
  time_ns BIGINT NOT NULL,
  PRIMARY KEY (topic, fingerprint)
);
CREATE INDEX fingerprint_by_id ON fingerprint (id);

CREATE TABLE address (
  kind SMALLINT NOT NULL,
  text TEXT NOT NULL,
  association BIGINT NOT NULL,
  inbox BYTEA NOT NULL,
  revoked BIGINT,
  PRIMARY KEY (kind, text, association)
);

CREATE TABLE commit_log (
  group_id BYTEA NOT NULL,
  sequence BIGINT NOT NULL,
  entry BYTEA NOT NULL,
  signature BYTEA NOT NULL,
  signer BYTEA NOT NULL,
  PRIMARY KEY (group_id, sequence)
);

CREATE TABLE signature (id BIGINT PRIMARY KEY, bytes BYTEA NOT NULL);
