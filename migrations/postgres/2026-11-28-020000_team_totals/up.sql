-- The totals of teams; see those of users. In a transaction of its own: whoever locked both tables could
-- stand in the way of those who write to them in another order.
LOCK TABLE teams IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO totals SELECT connection_id, 'team', 0, COUNT(*) FROM teams GROUP BY connection_id;
CREATE TRIGGER teams_added AFTER INSERT ON teams REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION muster_added('team');
CREATE TRIGGER teams_removed AFTER DELETE ON teams REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION muster_removed('team');
