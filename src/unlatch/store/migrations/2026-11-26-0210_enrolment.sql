-- Enrolment of a camera: what its household shows once, and each month again, so that it may be a witness.
-- It lasts for some minutes of real time; the picture in it is of a home, and goes with its end.

-- under way -> enrolled | expired | given_up
CREATE TABLE enrolment (
    id               text COLLATE "C" PRIMARY KEY,
    camera_id        text COLLATE "C" NOT NULL REFERENCES camera,
    access_point_id  text COLLATE "C" NOT NULL REFERENCES access_point,
    begun_by         text COLLATE "C" NOT NULL REFERENCES consignee,
    begun_at         timestamptz NOT NULL,
    until_real       timestamptz NOT NULL,
    ended_at         timestamptz,
    outcome          text,                  -- NULL: under way
    picture          bytea,                 -- one JPEG (an AES-256-GCM envelope), on which the clock is marked
    shown_width      integer,               -- of that picture, and of the camera's own
    shown_height     integer,
    full_width       integer,
    full_height      integer,
    clock            jsonb,                 -- what was learnt, or was known and was read again
    has_moved        boolean NOT NULL DEFAULT false   -- by day, something moved in the picture that did not repeat
);
CREATE UNIQUE INDEX enrolment_under_way ON enrolment (camera_id) WHERE ended_at IS NULL;
CREATE INDEX enrolment_of_camera ON enrolment (camera_id, begun_at);
CREATE INDEX enrolment_of_place ON enrolment (access_point_id, begun_at);
CREATE INDEX enrolment_until ON enrolment (until_real) WHERE ended_at IS NULL;
CREATE INDEX enrolment_ended ON enrolment (ended_at) WHERE ended_at IS NOT NULL;

-- waiting -> under_way -> passed | failed; failed -> under_way; waiting -> not_there
CREATE TABLE enrolment_step (
    enrolment_id  text COLLATE "C" NOT NULL REFERENCES enrolment ON DELETE CASCADE,
    step          text NOT NULL,            -- picture | clock | light | door
    state         text NOT NULL,
    turn          integer NOT NULL DEFAULT 0,  -- a job carries out one turn; an older one does nothing any more
    phase         text,                     -- of the door, while it is under way: what is to be done now
    code          text,                     -- why it failed
    mark          jsonb,                    -- of the clock: left, top, width, height, in the camera's own pixels
    shown         jsonb,                    -- what was measured
    changed_at    timestamptz NOT NULL,
    PRIMARY KEY (enrolment_id, step)
);

-- Of its monthly check, what its household was told: nothing -> due -> over; enrolment sets it back.
ALTER TABLE camera ADD COLUMN check_told text NOT NULL DEFAULT 'nothing';
CREATE INDEX camera_check ON camera (check_by) WHERE removed_at IS NULL AND check_told <> 'over';
