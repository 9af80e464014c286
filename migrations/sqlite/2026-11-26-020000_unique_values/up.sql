-- Values of attributes that schemas call unique: each belongs to one user, or to one team.
CREATE TABLE unique_values (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    -- the resource type, User or Group: values of the one are nothing to the other
    kind TEXT NOT NULL,
    -- the full name, with the URN of the schema
    attribute TEXT NOT NULL,
    -- as it compares: folded, unless the attribute is case exact
    value TEXT NOT NULL,
    user_id TEXT,
    team_id TEXT,
    PRIMARY KEY (connection_id, kind, attribute, value),
    FOREIGN KEY (connection_id, user_id) REFERENCES users (connection_id, id) ON DELETE CASCADE,
    FOREIGN KEY (connection_id, team_id) REFERENCES teams (connection_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX unique_values_of_user ON unique_values (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX unique_values_of_team ON unique_values (team_id) WHERE team_id IS NOT NULL;
