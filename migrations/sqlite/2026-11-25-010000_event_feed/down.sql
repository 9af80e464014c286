DROP INDEX users_inactive;
DROP INDEX events_of_connection;
DROP INDEX events_without_position;
DROP INDEX events_by_position;
ALTER TABLE events DROP COLUMN position;
