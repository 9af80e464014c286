-- How many users and teams a connection has, kept so that a page of a list has not to count them. The
-- sum of a kind's parts is its total. Made from the rest, so that no copy has to carry it.
CREATE TABLE totals (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    part BIGINT NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (connection_id, kind, part)
) WITHOUT ROWID;

INSERT INTO totals SELECT connection_id, 'user', 0, COUNT(*) FROM users GROUP BY connection_id;

CREATE TRIGGER users_added AFTER INSERT ON users BEGIN
    INSERT INTO totals VALUES (NEW.connection_id, 'user', 0, 1)
    ON CONFLICT DO UPDATE SET total = total + 1;
END;
-- A connection that goes with all that it has takes its totals along.
CREATE TRIGGER users_removed AFTER DELETE ON users BEGIN
    UPDATE totals SET total = total - 1
    WHERE connection_id = OLD.connection_id AND kind = 'user' AND part = 0;
END;
