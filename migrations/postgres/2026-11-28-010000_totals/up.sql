-- How many users and teams a connection has, kept so that a page of a list has not to count them. The
-- sum of a kind's parts is its total. Made from the rest, so that no copy has to carry it.
--
-- Each process of the server adds to a part, so that hardly anybody waits for another's transaction; a
-- part may be below zero.
CREATE TABLE totals (
    connection_id TEXT COLLATE "C" NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    kind TEXT COLLATE "C" NOT NULL,
    part BIGINT NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (connection_id, kind, part)
) WITH (fillfactor = 50);

-- Nobody comes or goes between the count and the first trigger.
LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO totals SELECT connection_id, 'user', 0, COUNT(*) FROM users GROUP BY connection_id;

CREATE FUNCTION muster_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO totals
    SELECT connection_id, TG_ARGV[0], pg_backend_pid() % 1024, COUNT(*) FROM added GROUP BY connection_id
    ON CONFLICT (connection_id, kind, part) DO UPDATE SET total = totals.total + excluded.total;
    RETURN NULL;
END;
$$;
-- A connection that goes with all that it has is gone already, and so are its totals.
CREATE FUNCTION muster_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO totals
    SELECT connection_id, TG_ARGV[0], pg_backend_pid() % 1024, -COUNT(*) FROM removed
    WHERE connection_id IN (SELECT id FROM connections) GROUP BY connection_id
    ON CONFLICT (connection_id, kind, part) DO UPDATE SET total = totals.total + excluded.total;
    RETURN NULL;
END;
$$;
CREATE TRIGGER users_added AFTER INSERT ON users REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION muster_added('user');
CREATE TRIGGER users_removed AFTER DELETE ON users REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION muster_removed('user');
