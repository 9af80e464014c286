DROP TRIGGER users_removed;
DROP TRIGGER users_added;
DROP TABLE totals;
