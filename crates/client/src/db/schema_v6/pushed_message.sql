-- Messages that a push server brought and that the log has not shown yet: it then gives them their
-- place and time, and they are not opened again.
CREATE TABLE pushed_message (
    group_id BLOB NOT NULL,
    hash     BLOB NOT NULL,             -- SHA-256 of the MLSMessage
    message  BLOB NOT NULL,             -- the id of what was in it
    PRIMARY KEY (group_id, hash)
) STRICT, WITHOUT ROWID;
