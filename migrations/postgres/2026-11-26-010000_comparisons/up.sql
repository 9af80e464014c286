-- User names are compared by PRECIS from now on (src/scim/precis.rs): width and composition count no
-- more, as case has not before. Of names that are the same now, the eldest has the key; the others
-- keep theirs.
-- The numbers are those of the half and full width forms, U+FF01 to U+FFEE, and of U+3000.
CREATE FUNCTION pg_temp.muster_user_name(TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE STRICT
AS $name$
    SELECT normalize(muster_fold(normalize(string_agg(
        CASE
            WHEN ascii(letter) BETWEEN 65281 AND 65518 OR ascii(letter) = 12288
            THEN normalize(letter, NFKD)
            ELSE letter
        END,
        '' ORDER BY place
    ), NFC)), NFC)
    FROM regexp_split_to_table($1, '') WITH ORDINALITY AS letters (letter, place)
$name$;

WITH
prepared AS (
    SELECT id, connection_id, user_name_fold, pg_temp.muster_user_name(user_name) AS user_name_key
    FROM users
    WHERE octet_length(user_name) <> char_length(user_name)
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

DROP FUNCTION pg_temp.muster_user_name(TEXT);

-- The address of a resource without the version of the protocol in it, as in src/scim/reference.rs.
CREATE OR REPLACE FUNCTION muster_unversioned(TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $unversioned$
    SELECT regexp_replace($1, '/v[0-9]+(/[^/]+/[^/]+)$', '\1')
$unversioned$;
