DROP INDEX users_by_person;
ALTER TABLE users DROP COLUMN token_issued_at;
