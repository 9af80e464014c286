ALTER TABLE connections DROP COLUMN own_callback;
