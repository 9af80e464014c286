-- The totals of teams; see those of users.
INSERT INTO totals
SELECT id, 'team', 0, (SELECT COUNT(*) FROM teams WHERE connection_id = connections.id) FROM connections;

CREATE TRIGGER connections_added_for_teams AFTER INSERT ON connections BEGIN
    INSERT INTO totals VALUES (NEW.id, 'team', 0, 0);
END;
CREATE TRIGGER teams_added AFTER INSERT ON teams BEGIN
    UPDATE totals SET total = total + 1
    WHERE connection_id = NEW.connection_id AND kind = 'team' AND part = 0;
END;
CREATE TRIGGER teams_removed AFTER DELETE ON teams BEGIN
    UPDATE totals SET total = total - 1
    WHERE connection_id = OLD.connection_id AND kind = 'team' AND part = 0;
END;
