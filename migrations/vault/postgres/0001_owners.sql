-- The vault: who the owners of keys are, and the keys that open what is stored of them. It is no part of the
-- journal, and must not be in the same backups: what is deleted here is to be gone.

-- Under which key secrets are wrapped, and users are looked up. There are two while a rotation runs.
CREATE TABLE vault_generation (
    generation bigint PRIMARY KEY,
    -- The id of the key-encryption key.
    key_id     text   NOT NULL,
    -- The key of the look-ups, wrapped with it.
    wrapped    bytea  NOT NULL,
    -- Microseconds since 1970.
    made_at    bigint NOT NULL
);

CREATE TABLE vault_owners (
    owner_id        uuid    PRIMARY KEY,
    generation      bigint  REFERENCES vault_generation,
    -- The data key, wrapped with the generation's key-encryption key.
    wrapped         bytea,
    -- User id and address, encrypted with the data key.
    person          bytea,
    -- The SHA-256 that the owner's first event has.
    commitment      bytea,
    -- Whether that event is in the journal.
    is_registered   boolean NOT NULL,
    -- Microseconds since 1970, and the journal's position of the erasure.
    erased_at       bigint,
    erased_position bigint,
    CHECK ((erased_at IS NULL) = (wrapped IS NOT NULL)),
    CHECK ((erased_at IS NULL) = (person IS NOT NULL)),
    CHECK ((erased_at IS NULL) = (generation IS NOT NULL)),
    CHECK ((erased_at IS NULL) = (erased_position IS NULL)),
    CHECK (erased_at IS NOT NULL OR commitment IS NOT NULL)
);

CREATE INDEX vault_owners_of_generation ON vault_owners (generation) WHERE generation IS NOT NULL;

-- User ids under the keyed hash of each generation.
CREATE TABLE vault_lookup (
    generation bigint NOT NULL REFERENCES vault_generation,
    hash       bytea  NOT NULL,
    owner_id   uuid   NOT NULL REFERENCES vault_owners,
    PRIMARY KEY (generation, hash)
);

CREATE INDEX vault_lookup_of_owner ON vault_lookup (owner_id);
