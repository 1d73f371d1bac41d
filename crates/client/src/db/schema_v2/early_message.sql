-- Messages that came before the commit that leads to their epoch. Read when that was merged.
CREATE TABLE early_message (
    group_id   BLOB    NOT NULL,
    originator INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    data       BLOB    NOT NULL,        -- as it came
    PRIMARY KEY (group_id, originator, sequence)
) STRICT;
