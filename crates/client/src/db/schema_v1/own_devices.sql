-- What the installations of one inbox share. Times are nanoseconds of Unix time.

-- The root key for push: one row, made when it is first needed.
CREATE TABLE push_key (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    root      BLOB    NOT NULL,  -- 42 bytes
    cycled_ns INTEGER NOT NULL
) STRICT;

-- Messages of sync groups that were met: done, or tried so often.
CREATE TABLE sync_message (
    message_id BLOB    PRIMARY KEY,
    attempts   INTEGER NOT NULL,
    done       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Sync groups whose arrival was answered: other conversations, push keys.
CREATE TABLE sync_group (
    group_id BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Requests for history that this installation sent.
CREATE TABLE history_request (
    pin         TEXT    PRIMARY KEY,
    created_ns  INTEGER NOT NULL,
    answered    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Consents that the person's other installations have not been told. What they told us is taken
-- out again in the transaction that stores it.
CREATE TABLE consent_untold (
    entity_type INTEGER NOT NULL,
    entity      BLOB    NOT NULL,
    PRIMARY KEY (entity_type, entity)
) STRICT, WITHOUT ROWID;
-- An upsert outside would turn `OR IGNORE` here into an error: what is there is looked for instead.
CREATE TRIGGER consent_came AFTER INSERT ON consent BEGIN
    INSERT INTO consent_untold SELECT new.entity_type, new.entity WHERE NOT EXISTS (
        SELECT 1 FROM consent_untold WHERE entity_type = new.entity_type AND entity = new.entity
    );
END;
CREATE TRIGGER consent_changed AFTER UPDATE OF state ON consent WHEN old.state <> new.state BEGIN
    INSERT INTO consent_untold SELECT new.entity_type, new.entity WHERE NOT EXISTS (
        SELECT 1 FROM consent_untold WHERE entity_type = new.entity_type AND entity = new.entity
    );
END;

-- What messages say, for search. Filled when somebody searches: up to the message whose number the
-- counter keeps.
CREATE VIRTUAL TABLE message_text USING fts5 (
    text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO counter VALUES ('search', 0);
CREATE TRIGGER message_text_gone AFTER DELETE ON message BEGIN
    DELETE FROM message_text WHERE rowid = old.local;
    -- SQLite gives the numbers after the last one that is left to new messages.
    UPDATE counter SET value = min(value, (SELECT coalesce(max(local), 0) FROM message))
    WHERE name = 'search';
END;
