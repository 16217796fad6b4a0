-- A booking is a stop: first without a courier, then on a round. Its plan may change; what follows from an older plan
-- (duties) is void, which `plan_number` tells.
--   state: open -> delivered | fallback_due | cancelled
--          fallback_due -> open (planned anew, or scanned again) | fallback_done | cancelled
ALTER TABLE stop ALTER COLUMN courier_id DROP NOT NULL;                         -- NULL: booked, not on a round yet
ALTER TABLE stop ADD COLUMN programme text;
ALTER TABLE stop ADD COLUMN rules_version text;                                 -- by which it was offered
ALTER TABLE stop ADD COLUMN expected_at timestamptz;                            -- when the courier is expected there
ALTER TABLE stop ADD COLUMN later_fallbacks text[] NOT NULL DEFAULT '{}';       -- after `fallback`, in this order
ALTER TABLE stop ADD COLUMN plan_number integer NOT NULL DEFAULT 1;             -- counts its plans
ALTER TABLE stop ADD COLUMN ruled_out text;             -- incident: why the place is not to be opened for this stop
ALTER TABLE stop ADD COLUMN ruled_out_at timestamptz;
ALTER TABLE stop ADD COLUMN heading_at timestamptz;                             -- the courier has set out for it
ALTER TABLE stop ADD COLUMN arriving_at timestamptz;                            -- the courier is near
CREATE INDEX stop_of_carrier_open ON stop (carrier_id, window_until) WHERE state IN ('open', 'fallback_due');

-- Where a parcel went that was not put into its place. One end a parcel and stop (L4).
CREATE TABLE fallback_end (
    stop_id     text COLLATE "C" NOT NULL REFERENCES stop,
    parcel_id   text COLLATE "C" NOT NULL REFERENCES parcel,
    fallback    text NOT NULL,              -- to_door | neighbour | pickup_point | tomorrow | depot
    told        text NOT NULL DEFAULT '',   -- by the courier: with whom, or where exactly
    courier_id  text COLLATE "C" NOT NULL REFERENCES courier,
    at          timestamptz NOT NULL,
    PRIMARY KEY (stop_id, parcel_id)
);

-- What a person did to a place or a stop, shown to its household and, of a stop, to its carrier. Append-only.
CREATE TABLE deed (
    id               text COLLATE "C" PRIMARY KEY,
    access_point_id  text COLLATE "C" NOT NULL REFERENCES access_point,
    stop_id          text COLLATE "C" REFERENCES stop,
    who              text NOT NULL,         -- consignee:... | carrier:... | operator:... | courier:...
    what             text NOT NULL,         -- a word of domain/booking.py or of flow/household.py
    body             jsonb NOT NULL DEFAULT '{}',
    at               timestamptz NOT NULL
);
CREATE INDEX deed_at_place ON deed (access_point_id, at);
CREATE INDEX deed_of_stop ON deed (stop_id, at) WHERE stop_id IS NOT NULL;
CREATE TRIGGER deed_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON deed
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
