DROP TABLE seals;
ALTER TABLE events DROP COLUMN changes;
