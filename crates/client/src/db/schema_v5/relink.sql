-- The installation that is about to take this one's place: one row, from before the network hears
-- of it until the change is made here.
CREATE TABLE relink (
    id                INTEGER PRIMARY KEY CHECK (id = 1),
    installation_seed BLOB    NOT NULL, -- 32 bytes, Ed25519
    identifier        TEXT    NOT NULL, -- the account that vouches for it
    identifier_kind   INTEGER NOT NULL, -- 1 Ethereum, 2 passkey
    key_package       BLOB    NOT NULL, -- the secrets of its first key package
    created_ns        INTEGER NOT NULL
) STRICT;
