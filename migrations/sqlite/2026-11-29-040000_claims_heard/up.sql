-- Those of whom a complete claim was heard, so that to count disagreements nobody else has to be looked at.
CREATE INDEX users_with_claim ON users (id) WHERE claim_issued_at IS NOT NULL;
