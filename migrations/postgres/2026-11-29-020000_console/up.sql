-- The role that opens the console to people of the connection; none where it is not the vendor's own.
ALTER TABLE connections ADD COLUMN console_role TEXT COLLATE "C";

-- Who is signed in at the console with an admin token.
CREATE TABLE console_sessions (
    hash TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    admin_token_id TEXT COLLATE "C" NOT NULL REFERENCES admin_tokens (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX console_sessions_by_token ON console_sessions (admin_token_id);
CREATE INDEX console_sessions_by_expiry ON console_sessions (expires_at);

-- Links that show a connection's set-up page to somebody without an account here.
CREATE TABLE share_links (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    hash TEXT COLLATE "C" NOT NULL UNIQUE,
    connection_id TEXT COLLATE "C" NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    label TEXT NOT NULL,
    may_set_up BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX share_links_by_connection ON share_links (connection_id);
