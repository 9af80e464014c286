DROP INDEX users_by_linked_external_id;
CREATE INDEX users_by_linked_external_id ON users (connection_id, linked_external_id);
DROP INDEX users_by_subject;
CREATE UNIQUE INDEX users_by_subject ON users (connection_id, issuer, subject);
