-- What an event changed, as rows are after it: the state can be built from the log. Events from
-- before this have none.
ALTER TABLE events ADD COLUMN changes TEXT;

-- Seals over the log: each covers the events of some positions and the seal before it, so that
-- nothing that is sealed can be altered, added or taken away unseen.
CREATE TABLE seals (
    number BIGINT NOT NULL PRIMARY KEY,
    first_position BIGINT NOT NULL,
    last_position BIGINT NOT NULL,
    -- of the events alone, so that the chain of seals can be checked where they are not kept any more
    events_hash TEXT NOT NULL,
    -- of this seal and the one before it
    hash TEXT NOT NULL,
    sealed_at BIGINT NOT NULL,
    -- when the events were removed, because they were older than they are kept
    pruned_at BIGINT
);
