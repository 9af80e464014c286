-- Times are UTC microseconds, documents JSON text, ids UUIDv7 text. The columns are the same as on
-- PostgreSQL; see migrations/README.md.

CREATE TABLE connections (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_fold TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,
    membership TEXT NOT NULL,
    unknown_members TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    hash TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX tokens_by_connection ON tokens (connection_id);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    user_name TEXT NOT NULL,
    user_name_fold TEXT NOT NULL,
    external_id TEXT,
    display_name TEXT,
    display_name_fold TEXT,
    active BOOLEAN NOT NULL,
    -- whether SCIM has taken charge of the profile and the lifecycle
    scim_owned BOOLEAN NOT NULL,
    document TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_by_connection ON users (connection_id, id);
CREATE UNIQUE INDEX users_by_user_name ON users (connection_id, user_name_fold);
CREATE UNIQUE INDEX users_by_external_id ON users (connection_id, external_id);
-- with the id, so that a page of equal names comes in order
CREATE INDEX users_by_display_name ON users (connection_id, display_name_fold, id);

CREATE TABLE user_emails (
    user_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    connection_id TEXT NOT NULL,
    value_fold TEXT NOT NULL,
    PRIMARY KEY (user_id, position),
    FOREIGN KEY (connection_id, user_id) REFERENCES users (connection_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX user_emails_by_value ON user_emails (connection_id, value_fold, user_id);

CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    display_name TEXT NOT NULL,
    display_name_fold TEXT NOT NULL,
    external_id TEXT,
    -- whether SCIM has taken charge of the team
    scim_managed BOOLEAN NOT NULL,
    document TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX teams_by_connection ON teams (connection_id, id);
CREATE UNIQUE INDEX teams_by_display_name ON teams (connection_id, display_name_fold);
CREATE UNIQUE INDEX teams_by_external_id ON teams (connection_id, external_id);

-- What each source says of one user and one team. A row in which neither source says anything is
-- deleted. Membership itself is never stored: it is a function of these statements.
CREATE TABLE memberships (
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    scim BOOLEAN NOT NULL,
    scim_at BIGINT,
    claim BOOLEAN NOT NULL,
    claim_at BIGINT,
    PRIMARY KEY (team_id, user_id),
    FOREIGN KEY (connection_id, team_id) REFERENCES teams (connection_id, id) ON DELETE CASCADE,
    FOREIGN KEY (connection_id, user_id) REFERENCES users (connection_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE UNIQUE INDEX memberships_by_user ON memberships (user_id, team_id);

CREATE TABLE events (
    sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    connection_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    actor_id TEXT,
    request_id TEXT,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX events_by_subject ON events (connection_id, subject_id, sequence);
