-- Welcomes that could not be taken yet: what they point to is not there, or what they depend on
-- could not be looked up. Taken again later, each by itself.
CREATE TABLE pending_welcome (
    originator  INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    created_ns  INTEGER NOT NULL,
    is_pointer  INTEGER NOT NULL,
    data        BLOB    NOT NULL,       -- as it came
    wrapper_key BLOB    NOT NULL,       -- ours, that it is sealed to
    algorithm   INTEGER NOT NULL,       -- of the wrapper
    metadata    BLOB    NOT NULL,       -- empty in a pointer
    attempts    INTEGER NOT NULL,
    retry_ns    INTEGER NOT NULL,
    give_up_ns  INTEGER NOT NULL,
    PRIMARY KEY (originator, sequence)
) STRICT;
INSERT INTO pending_welcome
    SELECT originator, welcome_id, created_ns, 1, pointer, wrapper_key, 2, x'', attempts, retry_ns,
        give_up_ns
    FROM pending_pointer;
DROP TABLE pending_pointer;
