-- A position does not identify an event once the journal's past can have changed, as by a restored backup:
-- the tables also store the id of the last event that they include.

-- The id of the event at the row's position.
ALTER TABLE keys ADD COLUMN event_id BLOB;

-- The position of the tree's last event. The tree may have come further, up to a place that is no event of
-- a key.
ALTER TABLE tree ADD COLUMN event_position INTEGER;
