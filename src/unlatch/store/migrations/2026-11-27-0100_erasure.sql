-- A person is erased as a whole, by their own word: what is held goes later by itself (docs/decisions/0015).

-- One row a person, made by their word. A worker goes on with it until nothing is held any more.
--   under way (ended_at NULL) -> ended
CREATE TABLE erasure (
    id               text COLLATE "C" PRIMARY KEY,
    consignee_id     text COLLATE "C" NOT NULL UNIQUE REFERENCES consignee,
    token_hash       bytea NOT NULL UNIQUE,     -- of the link to its receipt
    asked_at         timestamptz NOT NULL,
    next_at_real     timestamptz NOT NULL,      -- when a worker goes on; one who does moves it on
    ended_at         timestamptz,
    link_until_real  timestamptz                -- the receipt's link; NULL: as long as it is under way
);
CREATE INDEX erasure_due ON erasure (next_at_real) WHERE ended_at IS NULL;

-- What each step has erased so far.
CREATE TABLE erasure_step (
    erasure_id  text COLLATE "C" NOT NULL REFERENCES erasure,
    step        text NOT NULL,                  -- a word of domain/erasure.py
    count       integer NOT NULL,
    at          timestamptz NOT NULL,           -- when it last erased something, or first found nothing
    PRIMARY KEY (erasure_id, step)
);

-- From then on nobody is signed in as this person, and nothing new is registered for them.
ALTER TABLE consignee ADD COLUMN erased_at timestamptz;
-- A member has agreed to be the owner where the owner is erased.
ALTER TABLE member ADD COLUMN takes_over_at timestamptz;    -- NULL: has not

CREATE INDEX member_ever ON member (consignee_id);
CREATE INDEX rating_of_consignee ON rating (consignee_id);
CREATE INDEX claim_of_consignee ON claim (consignee_id);
CREATE INDEX ticket_of_consignee ON ticket (consignee_id);

-- Append-only stays so, but for words that a person wrote: they may be taken out, and nothing may be put in.
CREATE FUNCTION refuse_all_but_fewer_words() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := to_jsonb(OLD);
    after jsonb := to_jsonb(NEW);
BEGIN
    IF TG_TABLE_NAME = 'claim_step' AND after = jsonb_set(before, '{words}', '""') THEN
        RETURN NEW;
    ELSIF TG_TABLE_NAME = 'deed' AND after - 'body' = before - 'body'
            AND after -> 'body' = (before -> 'body') - 'camera' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the % is append-only', TG_TABLE_NAME;
END $$;
DROP TRIGGER claim_step_is_append_only ON claim_step;
CREATE TRIGGER claim_step_is_append_only BEFORE DELETE OR TRUNCATE ON claim_step
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER claim_step_loses_words_alone BEFORE UPDATE ON claim_step
    FOR EACH ROW EXECUTE FUNCTION refuse_all_but_fewer_words();
DROP TRIGGER deed_is_append_only ON deed;
CREATE TRIGGER deed_is_append_only BEFORE DELETE OR TRUNCATE ON deed
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER deed_loses_words_alone BEFORE UPDATE ON deed
    FOR EACH ROW EXECUTE FUNCTION refuse_all_but_fewer_words();
-- What others were told of a person or their place, by place: so that it is found without reading all of it.
CREATE INDEX notice_that_names ON notice (access_point_id) WHERE facts ?| ARRAY['camera', 'place', 'told', 'who'];
