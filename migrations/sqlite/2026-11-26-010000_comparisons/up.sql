-- User names are compared by PRECIS from now on (src/scim/precis.rs): width and composition count no
-- more, as case has not before. Of names that are the same now, the eldest has the key; the others
-- keep theirs.
WITH
prepared AS (
    SELECT id, connection_id, user_name_fold, muster_user_name(user_name) AS user_name_key
    FROM users
    WHERE length(CAST(user_name AS BLOB)) <> length(user_name)
),
renewed AS (
    SELECT id, connection_id, user_name_key,
           row_number() OVER (PARTITION BY connection_id, user_name_key ORDER BY id) AS place
    FROM prepared
    WHERE user_name_key <> user_name_fold
)
UPDATE users SET user_name_fold = renewed.user_name_key
FROM renewed
WHERE users.id = renewed.id AND renewed.place = 1 AND NOT EXISTS (
    SELECT 1 FROM users AS other
    WHERE other.connection_id = renewed.connection_id
      AND other.user_name_fold = renewed.user_name_key
);
