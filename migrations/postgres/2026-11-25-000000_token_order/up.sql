-- When the latest token that was believed was issued: an older one that comes later says nothing,
-- neither of groups nor of the profile.
ALTER TABLE users ADD COLUMN token_issued_at BIGINT;
UPDATE users SET token_issued_at = claim_issued_at;
