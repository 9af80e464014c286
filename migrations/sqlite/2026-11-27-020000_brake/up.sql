-- The mass-change brake: how many users SCIM may deactivate or delete, and how many members it may
-- take out of groups, within a window, before somebody has to look at it.
ALTER TABLE connections ADD COLUMN brake_users TEXT;
ALTER TABLE connections ADD COLUMN brake_members BIGINT;
-- seconds
ALTER TABLE connections ADD COLUMN brake_window BIGINT NOT NULL DEFAULT 3600;

-- A row for each connection whose brake was needed; it is locked by whoever removes something.
CREATE TABLE brakes (
    connection_id TEXT NOT NULL PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    -- since when removals are held
    held_at BIGINT,
    -- until when nothing is counted
    released_until BIGINT
);

-- What was removed lately, by request.
CREATE TABLE removals (
    id TEXT NOT NULL PRIMARY KEY,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    users BIGINT NOT NULL,
    members BIGINT NOT NULL
);
CREATE INDEX removals_by_time ON removals (connection_id, at);
