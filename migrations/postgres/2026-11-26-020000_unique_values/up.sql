-- Values of attributes that schemas call unique: each belongs to one user, or to one team.
CREATE TABLE unique_values (
    connection_id TEXT COLLATE "C" NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    -- the resource type, User or Group: values of the one are nothing to the other
    kind TEXT COLLATE "C" NOT NULL,
    -- the full name, with the URN of the schema
    attribute TEXT COLLATE "C" NOT NULL,
    -- as it compares: folded, unless the attribute is case exact
    value TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C",
    team_id TEXT COLLATE "C",
    PRIMARY KEY (connection_id, kind, attribute, value),
    FOREIGN KEY (connection_id, user_id) REFERENCES users (connection_id, id) ON DELETE CASCADE,
    FOREIGN KEY (connection_id, team_id) REFERENCES teams (connection_id, id) ON DELETE CASCADE
);
CREATE INDEX unique_values_of_user ON unique_values (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX unique_values_of_team ON unique_values (team_id) WHERE team_id IS NOT NULL;

-- Digits after the microseconds are cut off, as Rust cuts them off, not rounded. What is no time, as a
-- value can be whose schema was another one when it was stored, has no instant.
CREATE OR REPLACE FUNCTION muster_micros(TEXT) RETURNS BIGINT
LANGUAGE sql STABLE STRICT PARALLEL SAFE
AS $micros$
    SELECT CASE WHEN $1 ~ ('^(?!0000)\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])'
        'T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-](0\d|1[0-4]):[0-5]\d)?$')
    THEN CASE WHEN extract(
        MONTH FROM make_date(substr($1, 1, 4)::INT, substr($1, 6, 2)::INT, 1)
            + (substr($1, 9, 2)::INT - 1)
    ) = substr($1, 6, 2)::INT
    THEN (extract(
        EPOCH FROM regexp_replace($1, '(\.\d{6})\d+', '\1')::TIMESTAMPTZ
    ) * 1000000)::BIGINT
    END END
$micros$;
