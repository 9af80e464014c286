-- Whether the provider sends people back to an address of the connection's own.
ALTER TABLE connections ADD COLUMN own_callback BOOLEAN NOT NULL DEFAULT FALSE;
