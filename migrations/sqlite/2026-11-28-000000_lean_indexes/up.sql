-- Most users were pushed and have never signed in: what they have not got takes no place.
DROP INDEX users_by_subject;
CREATE UNIQUE INDEX users_by_subject ON users (connection_id, issuer, subject) WHERE subject IS NOT NULL;
DROP INDEX users_by_linked_external_id;
CREATE INDEX users_by_linked_external_id ON users (connection_id, linked_external_id)
    WHERE linked_external_id IS NOT NULL;
