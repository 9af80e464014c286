-- What a token may do, and from which networks it may be used. Tokens that are there may do everything
-- from everywhere, as before.
ALTER TABLE tokens ADD COLUMN scopes TEXT NOT NULL
    DEFAULT 'users:read users:write groups:read groups:write';
ALTER TABLE tokens ADD COLUMN allow_from TEXT NOT NULL DEFAULT '';
ALTER TABLE admin_tokens ADD COLUMN allow_from TEXT NOT NULL DEFAULT '';
