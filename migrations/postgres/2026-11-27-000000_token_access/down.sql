ALTER TABLE admin_tokens DROP COLUMN allow_from;
ALTER TABLE tokens DROP COLUMN allow_from;
ALTER TABLE tokens DROP COLUMN scopes;
