-- How far builds have come where that is further than their last event: up to a place in the journal
-- that is no event of a key.
CREATE TABLE build (
    generation INTEGER PRIMARY KEY,
    position   INTEGER NOT NULL
) STRICT;

-- Where the relay has come, for when the stream that it publishes to is empty.
CREATE TABLE relay (
    stream   TEXT    PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
