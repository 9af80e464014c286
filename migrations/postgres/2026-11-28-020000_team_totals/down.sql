DROP TRIGGER teams_removed ON teams;
DROP TRIGGER teams_added ON teams;
DELETE FROM totals WHERE kind = 'team';
