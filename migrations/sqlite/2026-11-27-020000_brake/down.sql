DROP TABLE removals;
DROP TABLE brakes;
ALTER TABLE connections DROP COLUMN brake_window;
ALTER TABLE connections DROP COLUMN brake_members;
ALTER TABLE connections DROP COLUMN brake_users;
