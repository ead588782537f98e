-- The read side: all of it but key_usage can be built anew from the journal.

-- Which build of a projection queries read. A rebuild writes the next generation beside it.
CREATE TABLE projection (
    name            text   PRIMARY KEY,
    live_generation bigint NOT NULL,
    -- No two builds ever have the same number.
    last_generation bigint NOT NULL
);

INSERT INTO projection (name, live_generation, last_generation) VALUES ('keys', 1, 1);

-- How far each build has come in the journal: rows and position change together.
CREATE TABLE build (
    generation bigint PRIMARY KEY,
    position   bigint NOT NULL
);

INSERT INTO build (generation, position) VALUES (1, 0);

-- Every key that ever was, deleted ones included. Times are microseconds since 1970.
CREATE TABLE keys (
    generation bigint NOT NULL,
    key_id     uuid   NOT NULL,
    user_id    text   NOT NULL,
    user_email text,
    name       text   NOT NULL,
    key_prefix text   NOT NULL,
    key_hash   bytea  NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    revoked_at bigint,
    deleted_at bigint,
    -- The revision of the last event that the row includes, and that event's position.
    revision   bigint NOT NULL,
    position   bigint NOT NULL,
    PRIMARY KEY (generation, key_id)
);

CREATE INDEX keys_of_owner ON keys (generation, user_id, created_at DESC, key_id DESC)
    WHERE deleted_at IS NULL;

-- When keys were last used: no event tells it, so no rebuild may touch it.
CREATE TABLE key_usage (
    key_id       uuid   PRIMARY KEY,
    last_used_at bigint NOT NULL
);

-- Which node does what only one may do at a time. The epoch grows with each change of the holder.
CREATE TABLE lease (
    duty       text        PRIMARY KEY,
    holder     uuid        NOT NULL,
    epoch      bigint      NOT NULL,
    expires_at timestamptz NOT NULL
);

-- Where the relay has come, for when the stream that it publishes to is empty.
CREATE TABLE relay (
    stream   text   PRIMARY KEY,
    position bigint NOT NULL
);
