-- Installations that lost a group and are to be added again: this one, which asks for it, and
-- others, who asked us.
CREATE TABLE readd (
    group_id     BLOB    NOT NULL,
    installation BLOB    NOT NULL,
    after        INTEGER NOT NULL,  -- sequence id of the newest commit that who asks knew of
    due_ns       INTEGER,           -- when to ask or to answer; NULL: nothing is to be done
    done_ns      INTEGER NOT NULL,  -- when it was last added again; 0: never, as far as we saw
    attempts     INTEGER NOT NULL,
    PRIMARY KEY (group_id, installation)
) STRICT, WITHOUT ROWID;
