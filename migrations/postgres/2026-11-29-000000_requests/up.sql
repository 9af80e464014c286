-- What was asked of the server, for whoever has to say what became of it. It is kept for some days, tells
-- of no lasting state, and is in no backup.
CREATE TABLE requests (
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- none where the request did not say for whom it was, or said it wrongly
    connection_id TEXT COLLATE "C" REFERENCES connections (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    -- microseconds
    duration BIGINT NOT NULL,
    -- scim or sign_in
    kind TEXT COLLATE "C" NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    query TEXT COLLATE "C",
    status BIGINT NOT NULL,
    -- of a sign-in: how it ended
    outcome TEXT COLLATE "C",
    scim_type TEXT COLLATE "C",
    detail TEXT COLLATE "C",
    token_id TEXT COLLATE "C",
    request_id TEXT COLLATE "C" NOT NULL,
    resource_type TEXT COLLATE "C",
    user_id TEXT COLLATE "C",
    user_name TEXT COLLATE "C",
    user_name_fold TEXT COLLATE "C",
    team_id TEXT COLLATE "C",
    team_name TEXT COLLATE "C",
    team_name_fold TEXT COLLATE "C",
    client TEXT COLLATE "C",
    user_agent TEXT COLLATE "C",
    -- names of compatibility rules, with spaces in between
    quirks TEXT COLLATE "C",
    -- of a list: how many resources were answered
    resources BIGINT,
    request_size BIGINT,
    request_body TEXT COLLATE "C",
    answer_size BIGINT,
    answer_body TEXT COLLATE "C",
    -- of a sign-in: what the provider's claims were like, JSON
    facts TEXT COLLATE "C"
);
CREATE INDEX requests_of_connection ON requests (connection_id, id);
CREATE INDEX requests_by_method ON requests (connection_id, method, id) WHERE method <> 'GET';
CREATE INDEX requests_by_request ON requests (request_id);
CREATE INDEX requests_of_user ON requests (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX requests_by_user_name ON requests (user_name_fold, connection_id, id)
    WHERE user_name_fold IS NOT NULL;
CREATE INDEX requests_of_team ON requests (team_id, id) WHERE team_id IS NOT NULL;
CREATE INDEX requests_by_team_name ON requests (team_name_fold, connection_id, id)
    WHERE team_name_fold IS NOT NULL;
-- Errors and sign-ins are few among many.
CREATE INDEX requests_failed ON requests (connection_id, id) WHERE status >= 400;
CREATE INDEX requests_failed_anywhere ON requests (id) WHERE status >= 400;
CREATE INDEX requests_to_sign_in ON requests (connection_id, id) WHERE kind = 'sign_in';
CREATE INDEX requests_to_sign_in_anywhere ON requests (id) WHERE kind = 'sign_in';

-- The same, counted, so that nobody has to.
CREATE TABLE request_hours (
    connection_id TEXT COLLATE "C" NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    -- when it begins, UTC microseconds
    hour BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    -- of the last change that was asked for and made
    last_push_at BIGINT,
    -- of the last sign-in that came to something
    last_sign_in_at BIGINT,
    PRIMARY KEY (connection_id, hour)
);
