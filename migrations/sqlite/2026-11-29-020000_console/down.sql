DROP TABLE share_links;
DROP TABLE console_sessions;
ALTER TABLE connections DROP COLUMN console_role;
