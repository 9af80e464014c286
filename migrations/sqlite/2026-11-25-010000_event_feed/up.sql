-- The feed of events has an order of its own. A sequence is taken before its transaction commits, so
-- a lower one can appear after a higher one; a position is given to committed events alone.
ALTER TABLE events ADD COLUMN position BIGINT;
UPDATE events SET position = sequence;
CREATE UNIQUE INDEX events_by_position ON events (position);
CREATE INDEX events_without_position ON events (sequence) WHERE position IS NULL;
CREATE INDEX events_of_connection ON events (connection_id, position);

-- few among many, and asked for by themselves
CREATE INDEX users_inactive ON users (connection_id, id) WHERE NOT active;
