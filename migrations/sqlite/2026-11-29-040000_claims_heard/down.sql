DROP INDEX users_with_claim;
