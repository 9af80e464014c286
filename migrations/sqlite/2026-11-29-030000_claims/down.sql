DROP INDEX memberships_by_claim;
