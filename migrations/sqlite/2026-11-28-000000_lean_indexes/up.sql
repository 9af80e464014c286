-- Most users were pushed and have never signed in: what they have not got takes no place.
DROP INDEX users_by_subject;
CREATE UNIQUE INDEX users_by_subject ON users (connection_id, issuer, subject) WHERE subject IS NOT NULL;
DROP INDEX users_by_linked_external_id;
CREATE INDEX users_by_linked_external_id ON users (connection_id, linked_external_id)
    WHERE linked_external_id IS NOT NULL;

-- All that is shown of a member, so that a large team does not read every user as a whole.
CREATE INDEX users_as_members ON users (id, display_name, user_name, scim_owned);
