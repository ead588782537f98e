-- The read side: all of it but key_usage can be built anew from the journal.

-- Which build of a projection queries read. A rebuild writes the next generation beside it.
CREATE TABLE projection (
    name            TEXT    PRIMARY KEY,
    live_generation INTEGER NOT NULL,
    -- No two builds ever have the same number.
    last_generation INTEGER NOT NULL
) STRICT;

INSERT INTO projection (name, live_generation, last_generation) VALUES ('keys', 1, 1);

-- Every key that ever was, deleted ones included. Times are microseconds since 1970.
CREATE TABLE keys (
    generation INTEGER NOT NULL,
    key_id     BLOB    NOT NULL,
    user_id    TEXT    NOT NULL,
    user_email TEXT,
    name       TEXT    NOT NULL,
    key_prefix TEXT    NOT NULL,
    key_hash   BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    deleted_at INTEGER,
    -- The revision of the last event that the row includes, and that event's position.
    revision   INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    PRIMARY KEY (generation, key_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_of_owner ON keys (generation, user_id, created_at DESC, key_id DESC)
    WHERE deleted_at IS NULL;

-- The highest position is how far the table has come: rows and checkpoint are one write.
CREATE INDEX keys_by_position ON keys (generation, position);

-- When keys were last used: no event tells it, so no rebuild may touch it.
CREATE TABLE key_usage (
    key_id       BLOB    PRIMARY KEY,
    last_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
