-- What a change of a booking must remember, and how a fallback ended.
ALTER TABLE stop ADD COLUMN extended_at timestamptz;        -- the household's one extension of the present plan
ALTER TABLE stop ADD COLUMN before_redirect jsonb;          -- what the household's redirect replaced, to take it back
ALTER TABLE stop ADD COLUMN again_of text COLLATE "C" REFERENCES stop;  -- "again tomorrow": the stop before this one
ALTER TABLE stop ADD COLUMN tries integer NOT NULL DEFAULT 1;           -- how many days in a row, this one too

-- An operator may say it for a courier who never did: then there is no courier, and the parcel may be `held` by a
-- person whom they name.
ALTER TABLE fallback_end ALTER COLUMN courier_id DROP NOT NULL;
ALTER TABLE fallback_end ADD COLUMN who text NOT NULL DEFAULT '';               -- courier:... | operator:...
ALTER TABLE fallback_end ADD COLUMN could_not text[] NOT NULL DEFAULT '{}';     -- steps before it, tried in vain
ALTER TABLE fallback_end ADD COLUMN photo bytea;                                -- SHA-256 of one in fallback_photo

CREATE TABLE fallback_photo (
    stop_id     text COLLATE "C" NOT NULL REFERENCES stop,
    sha256      bytea NOT NULL,
    media_type  text NOT NULL,
    content     bytea NOT NULL,             -- re-encoded: no position, no device name
    taken_at    timestamptz NOT NULL,
    PRIMARY KEY (stop_id, sha256)
);
