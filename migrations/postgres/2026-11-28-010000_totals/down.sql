DROP TRIGGER users_removed ON users;
DROP TRIGGER users_added ON users;
DROP FUNCTION muster_removed();
DROP FUNCTION muster_added();
DROP TABLE totals;
