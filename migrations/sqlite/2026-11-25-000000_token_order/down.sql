ALTER TABLE users DROP COLUMN token_issued_at;
