DROP TABLE token_quirks;
