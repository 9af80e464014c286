DROP TRIGGER teams_removed;
DROP TRIGGER teams_added;
DELETE FROM totals WHERE kind = 'team';
