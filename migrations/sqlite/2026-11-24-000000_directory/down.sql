DROP TABLE events;
DROP TABLE memberships;
DROP TABLE teams;
DROP TABLE user_emails;
DROP TABLE users;
DROP TABLE tokens;
DROP TABLE connections;
