DROP TRIGGER teams_removed;
DROP TRIGGER teams_added;
DROP TRIGGER connections_added_for_teams;
DELETE FROM totals WHERE kind = 'team';
