-- How many users and teams a connection has, kept so that a page of a list has not to count them. The
-- sum of a kind's parts is its total. Made from the rest, so that no copy has to carry it.
CREATE TABLE totals (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    part BIGINT NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (connection_id, kind, part)
) WITHOUT ROWID;

INSERT INTO totals
SELECT id, 'user', 0, (SELECT COUNT(*) FROM users WHERE connection_id = connections.id) FROM connections;

CREATE TRIGGER connections_added AFTER INSERT ON connections BEGIN
    INSERT INTO totals VALUES (NEW.id, 'user', 0, 0);
END;
CREATE TRIGGER users_added AFTER INSERT ON users BEGIN
    UPDATE totals SET total = total + 1
    WHERE connection_id = NEW.connection_id AND kind = 'user' AND part = 0;
END;
CREATE TRIGGER users_removed AFTER DELETE ON users BEGIN
    UPDATE totals SET total = total - 1
    WHERE connection_id = OLD.connection_id AND kind = 'user' AND part = 0;
END;
