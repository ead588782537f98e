-- The journal: rows are inserted and never changed.
CREATE TABLE events (
    -- The place in the total order, from 1, without a gap: given under the lock of journal_head.
    position bigint PRIMARY KEY,
    stream   text   NOT NULL,
    revision bigint NOT NULL,
    id       uuid   NOT NULL,
    type     text   NOT NULL,
    -- Kept as the very text that was written.
    data     json   NOT NULL,
    metadata json   NOT NULL,
    UNIQUE (stream, revision)
);

-- The position of the last event. Whoever appends holds its row until the commit, so that positions
-- become visible in their order, and no reader can pass over one that is yet to come.
CREATE TABLE journal_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint  NOT NULL CHECK (position >= 0)
);

INSERT INTO journal_head (position) VALUES (0);

CREATE FUNCTION events_are_never_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER events_are_never_changed
    BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_never_changed();
