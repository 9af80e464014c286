-- The totals of teams; see those of users.
INSERT INTO totals SELECT connection_id, 'team', 0, COUNT(*) FROM teams GROUP BY connection_id;

CREATE TRIGGER teams_added AFTER INSERT ON teams BEGIN
    INSERT INTO totals VALUES (NEW.connection_id, 'team', 0, 1)
    ON CONFLICT DO UPDATE SET total = total + 1;
END;
CREATE TRIGGER teams_removed AFTER DELETE ON teams BEGIN
    UPDATE totals SET total = total - 1
    WHERE connection_id = OLD.connection_id AND kind = 'team' AND part = 0;
END;
