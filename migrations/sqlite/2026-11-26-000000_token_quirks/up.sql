-- Which compatibility rules the client behind a token made use of, and how often.
CREATE TABLE token_quirks (
    token_id TEXT NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    quirk TEXT NOT NULL,
    first_used_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    uses BIGINT NOT NULL,
    PRIMARY KEY (token_id, quirk)
);
