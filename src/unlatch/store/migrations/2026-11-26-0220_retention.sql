-- How long clips live, what holds them, and whom a household lets see them.

-- What was never made a clip of (its takes can't be, or its recorder is gone) is erased too, and the folder of each
-- recording goes from its recorder's disk: ending | failed -> erased
ALTER TABLE recording ADD COLUMN erased_at timestamptz;  -- no clip is to be made of it any more
ALTER TABLE recording ADD COLUMN erased_by text;         -- clock | consignee:...
ALTER TABLE recording ADD COLUMN swept_at timestamptz;   -- its recorder has seen that the folder is gone
CREATE INDEX recording_without_clip ON recording (begun_at) WHERE state IN ('ending', 'failed') AND erased_at IS NULL;
CREATE INDEX recording_to_sweep ON recording (recorder_id)
    WHERE swept_at IS NULL AND state IN ('kept', 'empty', 'failed', 'erased');

-- A file that can't be removed now is tried again, after the others.
ALTER TABLE clip ADD COLUMN remove_tries integer NOT NULL DEFAULT 0;
ALTER TABLE clip ADD COLUMN remove_again_at_real timestamptz;

-- An operator keeps what is known of a visit beyond its time, for a reason that its household reads.
CREATE TABLE clip_hold (
    id           text COLLATE "C" PRIMARY KEY,
    visit_id     text COLLATE "C" NOT NULL REFERENCES visit,
    operator_id  text COLLATE "C" NOT NULL REFERENCES operator,
    reason       text NOT NULL,
    at           timestamptz NOT NULL,
    until        timestamptz NOT NULL,      -- it lapses then by itself
    ended_at     timestamptz                -- released before
);
CREATE UNIQUE INDEX clip_hold_open ON clip_hold (visit_id) WHERE ended_at IS NULL;

-- A pass is for the operator's staff, or for the carrier of the visit.
ALTER TABLE clip_pass ADD COLUMN reader text NOT NULL DEFAULT 'operator';  -- operator | carrier
CREATE INDEX clip_pass_of_operator ON clip_pass (operator_id, at) WHERE operator_id IS NOT NULL;
