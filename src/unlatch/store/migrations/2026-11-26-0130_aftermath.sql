-- What people say after a visit: how it was, and what was wrong.

-- One rating of a visit by each person of the household. The courier is noted for the aggregate.
CREATE TABLE rating (
    visit_id      text COLLATE "C" NOT NULL REFERENCES visit,
    consignee_id  text COLLATE "C" NOT NULL REFERENCES consignee,
    courier_id    text COLLATE "C" NOT NULL REFERENCES courier,
    stars         smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    words         text NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL,
    changed_at    timestamptz NOT NULL,
    PRIMARY KEY (visit_id, consignee_id)
);
CREATE INDEX rating_of_courier ON rating (courier_id, created_at);

-- A claim about a visit, or about a stop as a whole (visit_id NULL). Its states and deadlines are domain/claim.py's.
--   state: open -> answered | escalated | withdrawn    answered -> settled | disputed | withdrawn
--          disputed -> settled | escalated | withdrawn    escalated -> settled | dismissed | withdrawn
CREATE TABLE claim (
    id               text COLLATE "C" PRIMARY KEY,
    stop_id          text COLLATE "C" NOT NULL REFERENCES stop,
    visit_id         text COLLATE "C" REFERENCES visit,
    access_point_id  text COLLATE "C" NOT NULL REFERENCES access_point,
    carrier_id       text COLLATE "C" NOT NULL REFERENCES carrier,
    courier_id       text COLLATE "C" REFERENCES courier,     -- whom it is about; NULL: nobody was on the way yet
    consignee_id     text COLLATE "C" NOT NULL REFERENCES consignee,
    kind             text NOT NULL,
    state            text NOT NULL,
    words            text NOT NULL,
    is_accepted      boolean,               -- what the carrier has answered last; NULL: nothing yet
    has_courier_word boolean NOT NULL DEFAULT false,
    steps            integer NOT NULL,      -- the number of its last step
    opened_at        timestamptz NOT NULL,
    due_at           timestamptz,           -- by when the next step is due; NULL: it has ended
    ended_at         timestamptz,
    is_evidence_whole boolean NOT NULL,     -- its visits were over when the latest bundle was made
    evidence_tried_at timestamptz           -- when a later bundle was tried and failed: others come first
);
-- One open claim of each kind about one thing by one person.
CREATE UNIQUE INDEX claim_open ON claim (coalesce(visit_id, stop_id), kind, consignee_id) WHERE ended_at IS NULL;
CREATE INDEX claim_of_stop ON claim (stop_id);
CREATE INDEX claim_at_place ON claim (access_point_id, id);
CREATE INDEX claim_of_carrier ON claim (carrier_id, id);
CREATE INDEX claim_of_courier ON claim (courier_id, id) WHERE courier_id IS NOT NULL;
CREATE INDEX claim_due ON claim (due_at) WHERE due_at IS NOT NULL AND state <> 'escalated';
CREATE INDEX claim_escalated ON claim (due_at) WHERE state = 'escalated';
CREATE INDEX claim_without_end_of_visit ON claim (id) WHERE NOT is_evidence_whole;

-- What has happened to a claim, in order. Append-only.
CREATE TABLE claim_step (
    claim_id  text COLLATE "C" NOT NULL REFERENCES claim,
    number    integer NOT NULL,
    at        timestamptz NOT NULL,
    who       text NOT NULL,                -- consignee:... | carrier:... | courier:... | operator:... | clock
    what      text NOT NULL,                -- an act of domain/claim.py
    state     text NOT NULL,                -- of the claim, after it
    words     text NOT NULL DEFAULT '',
    PRIMARY KEY (claim_id, number)
);
CREATE TRIGGER claim_step_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON claim_step
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE claim_photo (
    claim_id    text COLLATE "C" NOT NULL REFERENCES claim,
    sha256      bytea NOT NULL,
    media_type  text NOT NULL,
    content     bytea NOT NULL,             -- re-encoded: no position, no device name
    PRIMARY KEY (claim_id, sha256)
);

-- The bundle of evidence of a claim (domain/evidence.py), as it was when it was made. Never changed; a claim gets
-- a second one when the watch over its visit is over.
CREATE TABLE evidence (
    claim_id  text COLLATE "C" NOT NULL REFERENCES claim,
    number    integer NOT NULL,
    sha256    bytea NOT NULL,
    content   bytea NOT NULL CHECK (length(content) <= 33554432),
    made_at   timestamptz NOT NULL,
    PRIMARY KEY (claim_id, number)
);
ALTER TABLE evidence ALTER COLUMN content SET STORAGE EXTERNAL;  -- photos don't get smaller
CREATE TRIGGER evidence_is_not_changed BEFORE UPDATE ON evidence
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE INDEX look_of_stop ON look (stop_id, at) WHERE stop_id IS NOT NULL;  -- for its evidence
