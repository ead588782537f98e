-- A position does not identify an event once the journal's past can have changed, as by a restored backup:
-- the tables also store the id of the last event that they include.

-- The id of the event at the row's position.
ALTER TABLE keys ADD COLUMN event_id uuid;

-- The position and the id of the build's last event. The build may have come further, up to a place that is
-- no event of a key.
ALTER TABLE build ADD COLUMN event_position bigint, ADD COLUMN event_id uuid;

-- The position of the tree's last event, likewise.
ALTER TABLE tree ADD COLUMN event_position bigint;
