-- The keys of a build that are closed: an operator has deleted their streams from the journal's database, or
-- an event of them cannot be read. They are refused, whatever else the journal has of them.
CREATE TABLE closed_keys (
    generation bigint NOT NULL,
    key_id     uuid NOT NULL,
    -- Events of the key at this position or after it do not count.
    position   bigint NOT NULL,
    -- removed, foreign or unreadable
    closure    text NOT NULL,
    PRIMARY KEY (generation, key_id)
);
