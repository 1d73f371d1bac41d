-- The newest epoch in which each installation of a group was heard: how far it is at least.
CREATE TABLE heard (
    group_id     BLOB    NOT NULL,
    installation BLOB    NOT NULL,
    epoch        INTEGER NOT NULL,
    heard_ns     INTEGER NOT NULL,  -- when the network took what it said
    PRIMARY KEY (group_id, installation)
) STRICT, WITHOUT ROWID;
