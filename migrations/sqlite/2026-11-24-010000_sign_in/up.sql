-- Sign-in over OpenID Connect, on the same users and teams.

ALTER TABLE connections ADD COLUMN issuer TEXT;
ALTER TABLE connections ADD COLUMN client_id TEXT;
-- the file that holds the secret; the secret itself is never stored
ALTER TABLE connections ADD COLUMN client_secret_file TEXT;
ALTER TABLE connections ADD COLUMN groups_claim TEXT NOT NULL DEFAULT 'groups';
ALTER TABLE connections ADD COLUMN groups_filter TEXT;
ALTER TABLE connections ADD COLUMN external_id_claim TEXT;
ALTER TABLE connections ADD COLUMN user_name_claim TEXT NOT NULL DEFAULT 'preferred_username';
ALTER TABLE connections ADD COLUMN jit BOOLEAN NOT NULL DEFAULT TRUE;
UPDATE connections SET external_id_claim = 'sub' WHERE provider = 'okta';
UPDATE connections SET external_id_claim = 'oid' WHERE provider = 'entra';
CREATE INDEX connections_by_issuer ON connections (issuer);

-- The identity that signs in as the user, and the external id it carried when it last did.
ALTER TABLE users ADD COLUMN issuer TEXT;
ALTER TABLE users ADD COLUMN subject TEXT;
ALTER TABLE users ADD COLUMN linked_external_id TEXT;
-- issue time of the claim that was last applied
ALTER TABLE users ADD COLUMN claim_issued_at BIGINT;
ALTER TABLE users ADD COLUMN signed_in_at BIGINT;
CREATE UNIQUE INDEX users_by_subject ON users (connection_id, issuer, subject);
CREATE INDEX users_by_linked_external_id ON users (connection_id, linked_external_id);

-- The request or sign-in in which each source said it.
ALTER TABLE memberships ADD COLUMN scim_by TEXT;
ALTER TABLE memberships ADD COLUMN claim_by TEXT;

-- What teams stand for in the vendor's application.
CREATE TABLE roles (
    team_id TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (team_id, role),
    FOREIGN KEY (connection_id, team_id) REFERENCES teams (connection_id, id) ON DELETE CASCADE
);

-- The vendor's applications, and its own tokens.
CREATE TABLE apps (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_fold TEXT NOT NULL UNIQUE,
    secret_hash TEXT,
    redirect_uris TEXT NOT NULL,
    allow_implicit BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE admin_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    revoked_at BIGINT
);

-- Sign-ins on their way to the provider and back; each is taken once.
CREATE TABLE flows (
    state_hash TEXT NOT NULL PRIMARY KEY,
    browser_hash TEXT NOT NULL,
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    nonce TEXT NOT NULL,
    pkce_verifier TEXT NOT NULL,
    request TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX flows_by_age ON flows (created_at);

-- Who is signed in. Deleting a session takes its codes and access tokens with it.
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    connection_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    FOREIGN KEY (connection_id, user_id) REFERENCES users (connection_id, id) ON DELETE CASCADE
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE codes (
    hash TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    redirect_uri TEXT NOT NULL,
    code_challenge TEXT,
    expires_at BIGINT NOT NULL,
    -- a code that comes twice ends what its first use began
    used_at BIGINT
);
CREATE INDEX codes_by_session ON codes (session_id);

CREATE TABLE access_tokens (
    hash TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    code_hash TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX access_tokens_by_session ON access_tokens (session_id);
