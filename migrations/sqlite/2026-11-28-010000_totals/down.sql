DROP TRIGGER users_removed;
DROP TRIGGER users_added;
DROP TRIGGER connections_added;
DROP TABLE totals;
