-- Who is in a team by what a claim says alone: few among very many, who are looked for whenever all members are
-- shown that SCIM has listed.
CREATE INDEX memberships_by_claim ON memberships (team_id, user_id) WHERE claim AND NOT scim;
