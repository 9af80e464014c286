-- When the latest token that was believed was issued: an older one that comes later says nothing,
-- neither of groups nor of the profile.
ALTER TABLE users ADD COLUMN token_issued_at BIGINT;
UPDATE users SET token_issued_at = claim_issued_at;

-- A person of the provider's is one user, whether SCIM pushed the external id or a token carried it:
-- a push and a sign-in at the same moment cannot make two.
UPDATE users SET linked_external_id = NULL
WHERE linked_external_id IS NOT NULL AND EXISTS (
    SELECT 1 FROM users AS other
    WHERE other.connection_id = users.connection_id
      AND other.external_id = users.linked_external_id AND other.id <> users.id
);
UPDATE users SET linked_external_id = NULL
WHERE linked_external_id IS NOT NULL AND external_id IS NULL AND EXISTS (
    SELECT 1 FROM users AS other
    WHERE other.connection_id = users.connection_id
      AND other.linked_external_id = users.linked_external_id
      AND other.external_id IS NULL AND other.id < users.id
);
CREATE UNIQUE INDEX users_by_person ON users (connection_id, COALESCE(external_id, linked_external_id));
