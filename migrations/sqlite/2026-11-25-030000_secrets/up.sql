-- Secrets that all servers on the store share and that give nobody any access: base64url text.

CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
