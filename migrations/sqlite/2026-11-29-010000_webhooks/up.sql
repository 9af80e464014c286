-- Where events are sent to. No foreign key to connections: what is sent last of a connection is that it
-- was deleted.
CREATE TABLE webhooks (
    id TEXT NOT NULL PRIMARY KEY,
    -- whose events are sent; those of all if it is null
    connection_id TEXT,
    url TEXT NOT NULL,
    label TEXT NOT NULL,
    -- which types of events are sent, with spaces in between; all if it is null
    types TEXT,
    -- active, paused or disabled
    state TEXT NOT NULL,
    -- why it is disabled
    reason TEXT,
    -- since when it is so
    state_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- when the secret was made
    secret_at BIGINT NOT NULL
);

-- What each webhook is signed with, and how far it has come; none of it is in the log of events.
CREATE TABLE webhook_deliveries (
    webhook_id TEXT NOT NULL PRIMARY KEY REFERENCES webhooks (id) ON DELETE CASCADE,
    -- null in a store that was built from the log
    secret TEXT,
    -- what is signed with besides, for a time
    old_secret TEXT,
    old_secret_until BIGINT,
    -- the position of the last event that was delivered or passed over
    cursor BIGINT NOT NULL,
    -- who delivers, and until when nobody else does
    lease TEXT,
    lease_until BIGINT,
    -- attempts that have failed since the last that has not, and the first of them
    failures BIGINT NOT NULL,
    failing_since BIGINT,
    next_attempt_at BIGINT,
    last_delivered_at BIGINT,
    last_error TEXT,
    last_error_at BIGINT
);
