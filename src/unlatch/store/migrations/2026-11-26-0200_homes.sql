-- Homes: what a courier must mind at a door, and the cameras without whose proof it does not open.
-- What cameras and recorders tell of themselves is in real time (`..._real`): a picture knows no other.

-- One row for each access point of kind home; its lock and hub stand in `vehicle`, as a car's cloud does.
CREATE TABLE home (
    access_point_id  text COLLATE "C" PRIMARY KEY REFERENCES access_point,
    form             text NOT NULL,         -- door | garage
    rings_first      boolean NOT NULL,      -- the courier rings or knocks, and waits, before anything opens
    quiet_from       time,                  -- local hours in which nobody rings; both or neither
    quiet_until      time,
    is_pet_loose     boolean NOT NULL DEFAULT false,  -- an animal could run out: nobody opens
    directions       text NOT NULL DEFAULT '',        -- how to find the door: shown to the courier near, in the window
    CHECK ((quiet_from IS NULL) = (quiet_until IS NULL))
);

-- A process that records: up to 32 cameras. It says every second that it lives.
CREATE TABLE recorder (
    id                text COLLATE "C" PRIMARY KEY,
    socket            text NOT NULL,        -- of its machine: who carries out a home's visit runs beside it
    room              integer NOT NULL,     -- how many cameras it takes
    alive_until_real  timestamptz NOT NULL
);

-- A camera of a home. It is connected (armed) while `wanted_until_real` lies ahead, by the recorder that claimed it.
CREATE TABLE camera (
    id                 text COLLATE "C" PRIMARY KEY,
    access_point_id    text COLLATE "C" NOT NULL REFERENCES access_point,
    maker              text NOT NULL,       -- a name of cameras/makers
    name               text NOT NULL,       -- as its household calls it
    sealed             bytea NOT NULL,      -- address, user, password ... (an AES-256-GCM envelope)
    clock              jsonb,               -- what was learnt of the clock in its picture; NULL: none
    methods            text[] NOT NULL DEFAULT '{}',  -- how enrolment showed that it can be proven: clock | light | motion
    sees_door          boolean NOT NULL DEFAULT false, -- enrolment saw the door open: only such a camera is a witness
    enrolled_at        timestamptz,
    check_by           timestamptz,         -- enrolment is repeated monthly; later it is no witness
    created_at         timestamptz NOT NULL,
    removed_at         timestamptz,
    wanted_until_real  timestamptz,
    recorder_id        text COLLATE "C" REFERENCES recorder,
    state              text NOT NULL DEFAULT 'off',   -- off | connecting | armed | recording | lost | stuck
    verdict            text,                -- of its picture: live | frozen | looping ... (cameras/glances.py)
    code               text,                -- why it was lost
    heard_at_real      timestamptz          -- its last frame
);
CREATE INDEX camera_of_place ON camera (access_point_id) WHERE removed_at IS NULL;
CREATE INDEX camera_wanted ON camera (wanted_until_real) WHERE wanted_until_real IS NOT NULL AND removed_at IS NULL;
CREATE INDEX camera_of_recorder ON camera (recorder_id) WHERE recorder_id IS NOT NULL;

-- What one camera records of one visit: wanted -> recording -> ending -> kept | empty | failed
--   a witness that is lost: recording -> recording (is_lost), and again when it is back
CREATE TABLE recording (
    id               text COLLATE "C" PRIMARY KEY,
    visit_id         text COLLATE "C" NOT NULL REFERENCES visit,
    camera_id        text COLLATE "C" NOT NULL REFERENCES camera,
    recorder_id      text COLLATE "C" REFERENCES recorder,
    state            text NOT NULL,
    folder           text NOT NULL,
    is_witness       boolean NOT NULL DEFAULT false,   -- its proof opened the door, and its lease keeps it so
    proved_at_real   timestamptz,
    lease_until_real timestamptz,           -- as its recorder told last
    lost_at_real     timestamptz,           -- since when it has been lost; NULL: it is not
    is_told_lost     boolean NOT NULL DEFAULT false,   -- the visit was told of the present loss
    parts            integer NOT NULL DEFAULT 0,
    link             bytea,                 -- the last link of its chain that stands in the journal
    begun_at         timestamptz NOT NULL,
    ended_at         timestamptz,
    tries            integer NOT NULL DEFAULT 0,       -- at finishing it
    again_at_real    timestamptz,
    UNIQUE (visit_id, camera_id)
);
CREATE INDEX recording_under_way ON recording (recorder_id) WHERE state IN ('wanted', 'recording', 'ending');
CREATE INDEX recording_of_camera ON recording (camera_id, begun_at);

-- A finished clip, encrypted with a key of its own. Erasing it sets `sealed_key` NULL in the transaction that says so.
CREATE TABLE clip (
    id            text COLLATE "C" PRIMARY KEY,
    recording_id  text COLLATE "C" NOT NULL REFERENCES recording,
    visit_id      text COLLATE "C" NOT NULL REFERENCES visit,
    number        integer NOT NULL,         -- 1, unless the camera's format changed on the way
    sealed_key    bytea,
    size          bigint NOT NULL,
    sha256        bytea NOT NULL,           -- of the clip itself
    length_ms     integer NOT NULL,
    poster        bytea,                    -- one picture as JPEG, sealed with the same envelope as the key
    parts         bytea NOT NULL,           -- domain/clip.py: its parts and where each stands in it (JSON, zlib)
    made_at       timestamptz NOT NULL,
    keep_until    timestamptz NOT NULL,
    erased_at     timestamptz,              -- the key is gone
    erased_by     text,                     -- clock | consignee:... | operator:...
    removed_at    timestamptz,              -- the file is gone too
    UNIQUE (recording_id, number)
);
CREATE INDEX clip_of_visit ON clip (visit_id);
CREATE INDEX clip_due ON clip (keep_until) WHERE erased_at IS NULL;
CREATE INDEX clip_to_remove ON clip (erased_at) WHERE erased_at IS NOT NULL AND removed_at IS NULL;

-- Who on the operator's staff may see the clips of a visit, for how long and why: by the consignee's consent, or by
-- breaking the glass, which the consignee is told of.
CREATE TABLE clip_pass (
    id           text COLLATE "C" PRIMARY KEY,
    visit_id     text COLLATE "C" NOT NULL REFERENCES visit,
    operator_id  text COLLATE "C" REFERENCES operator,   -- NULL: any, by consent
    how          text NOT NULL,             -- consent | break_glass
    who          text NOT NULL,             -- who gave it: consignee:... | operator:...
    reason       text NOT NULL,
    at           timestamptz NOT NULL,
    until        timestamptz NOT NULL,
    ended_at     timestamptz
);
CREATE INDEX clip_pass_of_visit ON clip_pass (visit_id);

ALTER TABLE visit ADD COLUMN rings_first boolean NOT NULL DEFAULT false;  -- homes: see domain/visit.py
ALTER TABLE visit ADD COLUMN stands_open boolean NOT NULL DEFAULT false;  -- by the latest news of it
ALTER TABLE visit ADD COLUMN decided_at timestamptz;    -- when every check had passed: a grant is no younger (S1)
ALTER TABLE reading ADD COLUMN is_bolted_inside boolean;
ALTER TABLE reading ADD COLUMN is_alarm_armed boolean;
ALTER TABLE reading ADD COLUMN is_pet_loose boolean;
