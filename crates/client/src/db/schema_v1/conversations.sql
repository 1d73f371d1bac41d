-- Conversations. Times are nanoseconds of Unix time. Group ids, inbox ids, installation keys and
-- message ids are raw bytes.

CREATE TABLE conversation (
    id              BLOB    PRIMARY KEY,
    kind            INTEGER NOT NULL,            -- 1 group, 2 DM, 3 own installations
    dm_id           TEXT,                        -- DMs: 'dm:' a ':' b, the smaller inbox id first
    creator         BLOB    NOT NULL,
    added_by        BLOB    NOT NULL,
    created_ns      INTEGER NOT NULL,
    membership      INTEGER NOT NULL,            -- 1 allowed, 2 rejected, 3 pending, 4 restored, 5 leaving
    active          INTEGER NOT NULL,            -- 0: removed, or restored without keys
    epoch           INTEGER NOT NULL,
    rotated_ns      INTEGER NOT NULL DEFAULT 0,  -- last new leaf of ours; 0: never since joining
    checked_ns      INTEGER NOT NULL DEFAULT 0,  -- last look for new installations of members
    last_message_ns INTEGER,
    context         BLOB    NOT NULL,            -- extensions of the group context
    paused_for      TEXT,                        -- the version that the group wants at least
    trouble         INTEGER,                     -- 1 locked out, 2 forked, 3 perhaps forked
    trouble_at      INTEGER,                     -- sequence id of the commit that shows it
    welcome_id      INTEGER
) STRICT;
CREATE INDEX conversation_dm ON conversation (dm_id) WHERE dm_id IS NOT NULL;

-- The rows of the MLS engine. Deleted with their conversation.
CREATE TABLE mls_state (
    group_id BLOB NOT NULL,
    key      BLOB NOT NULL,
    value    BLOB NOT NULL,
    PRIMARY KEY (group_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    local        INTEGER PRIMARY KEY,
    id           BLOB    NOT NULL UNIQUE,
    group_id     BLOB    NOT NULL,
    sent_ns      INTEGER NOT NULL,      -- the node's time; the sender's own until it is published
    inserted_ns  INTEGER NOT NULL,
    kind         INTEGER NOT NULL,      -- 1 application, 2 membership change
    sender       BLOB    NOT NULL,      -- inbox
    installation BLOB    NOT NULL,
    delivery     INTEGER NOT NULL,      -- 1 unpublished, 2 published, 3 failed
    authority    TEXT    NOT NULL,
    type         TEXT    NOT NULL,      -- type id, or 'unknown'
    major        INTEGER NOT NULL,
    minor        INTEGER NOT NULL,
    reference    BLOB,                  -- the message that this one is about
    content      BLOB    NOT NULL,      -- EncodedContent, as it was sent
    originator   INTEGER,
    sequence     INTEGER,
    expire_ns    INTEGER,
    by_super_admin INTEGER NOT NULL,    -- its sender was one when it arrived: counts for deletions
    stream       INTEGER                -- order in which streams show it; NULL: not yet
) STRICT;
CREATE INDEX message_time ON message (group_id, sent_ns);
CREATE INDEX message_reference ON message (reference) WHERE reference IS NOT NULL;
CREATE UNIQUE INDEX message_stream ON message (stream) WHERE stream IS NOT NULL;
CREATE INDEX message_expiry ON message (expire_ns) WHERE expire_ns IS NOT NULL;
CREATE INDEX message_unpublished ON message (group_id) WHERE delivery = 1;

-- What was asked for and is not yet done. Kept until it was read back.
CREATE TABLE intent (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id     BLOB    NOT NULL,
    kind         INTEGER NOT NULL,
    state        INTEGER NOT NULL,      -- 1 to publish, 2 published, 3 committed, 4 failed
    data         BLOB    NOT NULL,
    message_id   BLOB,
    should_push  INTEGER NOT NULL DEFAULT 0,
    attempts     INTEGER NOT NULL DEFAULT 0,
    payload_hash BLOB,
    payload      BLOB,                  -- what was sealed, until the node has it
    epoch        INTEGER,
    staged       BLOB,                  -- a commit's outcome, merged when it is read back
    welcome      BLOB,                  -- the welcome and for whom
    sequence     INTEGER                -- sequence id of the commit, once it was read back
) STRICT;
CREATE INDEX intent_group ON intent (group_id, state);

-- How far the logs were read. Never moves back.
CREATE TABLE cursor (
    entity     BLOB    NOT NULL,        -- group id or installation key
    kind       INTEGER NOT NULL,        -- 1 welcomes, 2 group messages, 3 commit log read, 4 commit log written
    originator INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    PRIMARY KEY (entity, kind, originator)
) STRICT, WITHOUT ROWID;

CREATE TABLE consent (
    entity_type INTEGER NOT NULL,       -- 1 conversation, 2 inbox
    entity      BLOB    NOT NULL,       -- group id or inbox id
    state       INTEGER NOT NULL,       -- 0 unknown, 1 allowed, 2 denied
    since_ns    INTEGER NOT NULL,
    PRIMARY KEY (entity_type, entity)
) STRICT, WITHOUT ROWID;

-- Members who asked to leave.
CREATE TABLE pending_removal (
    group_id BLOB NOT NULL,
    inbox    BLOB NOT NULL,
    PRIMARY KEY (group_id, inbox)
) STRICT, WITHOUT ROWID;

-- Each commit that was met, and what became of it.
CREATE TABLE commit_log (
    id                 INTEGER PRIMARY KEY,
    group_id           BLOB    NOT NULL,
    sequence           INTEGER NOT NULL, -- 0: made here or joined by welcome
    last_authenticator BLOB    NOT NULL,
    result             INTEGER NOT NULL, -- 1 applied, 2 wrong epoch, 3 undecryptable, 4 invalid
    epoch              INTEGER NOT NULL, -- the epoch after it
    authenticator      BLOB    NOT NULL, -- of that epoch
    sender             BLOB,             -- inbox
    cause              TEXT    NOT NULL  -- what kind of commit, or why it was refused
) STRICT;
CREATE INDEX commit_log_group ON commit_log (group_id, sequence);

-- Welcomes that point to others that are not there yet.
CREATE TABLE pending_pointer (
    welcome_id  INTEGER PRIMARY KEY,
    originator  INTEGER NOT NULL,
    created_ns  INTEGER NOT NULL,
    wrapper_key BLOB    NOT NULL,       -- ours, that it is sealed to
    pointer     BLOB    NOT NULL,       -- as it came
    attempts    INTEGER NOT NULL,
    retry_ns    INTEGER NOT NULL,
    give_up_ns  INTEGER NOT NULL
) STRICT;

-- Numbers that only rise: 'stream' is the last place in the streams that was given away.
CREATE TABLE counter (
    name  TEXT    PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('stream', 0);
