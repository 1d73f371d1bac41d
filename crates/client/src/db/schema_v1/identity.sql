-- Who we are: one row. The secrets are sealed by the file's encryption.
CREATE TABLE identity (
    id                      INTEGER PRIMARY KEY CHECK (id = 1),
    inbox_id                BLOB    NOT NULL, -- 32 bytes
    installation_seed       BLOB    NOT NULL, -- 32 bytes, Ed25519
    identifier              TEXT    NOT NULL, -- the account that registered us
    identifier_kind         INTEGER NOT NULL, -- 1 Ethereum, 2 passkey
    registered              INTEGER NOT NULL, -- whether the network has our first update
    created_ns              INTEGER NOT NULL,
    -- When the next key package is due: Unix time in nanoseconds.
    next_rotation_ns        INTEGER NOT NULL
) STRICT;

-- Secrets of our key packages, the newest and those that a welcome may still use.
CREATE TABLE key_package (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    wrapper_public_key BLOB    NOT NULL UNIQUE, -- what a welcome's hpke_public_key names
    init_key           BLOB    NOT NULL UNIQUE, -- the same, for welcomes without X-Wing
    secrets            BLOB    NOT NULL,
    created_ns         INTEGER NOT NULL,
    -- NULL while it is the newest.
    delete_after_ns    INTEGER
) STRICT;

-- The logs of inboxes, as far as they were fetched: exact bytes, verified.
CREATE TABLE identity_update (
    inbox_id   BLOB    NOT NULL, -- 32 bytes
    sequence   INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    data       BLOB    NOT NULL, -- an encoded IdentityUpdate
    PRIMARY KEY (inbox_id, sequence)
) STRICT, WITHOUT ROWID;

-- How far the log of an inbox was fetched, and what it leads to.
CREATE TABLE identity_state (
    inbox_id       BLOB    NOT NULL PRIMARY KEY,
    sequence       INTEGER NOT NULL, -- of the newest update
    updates        INTEGER NOT NULL, -- how many there are
    broken_at      INTEGER,          -- the first update that does not fit
    broken_because TEXT,
    data           BLOB              -- an encoded AssociationState, before broken_at
) STRICT, WITHOUT ROWID;
