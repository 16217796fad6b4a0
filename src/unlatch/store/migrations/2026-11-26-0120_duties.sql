-- What is due for a stop at a moment. Any worker takes it, the longest overdue first; what follows from an older plan of
-- the stop is void, which `plan_number` tells.
--   state: due -> taken (a job looks at the car) -> done | dropped; taken -> due (looked at again later)
CREATE TABLE duty (
    stop_id      text COLLATE "C" NOT NULL REFERENCES stop,
    plan_number  integer NOT NULL,
    kind         text NOT NULL,             -- a word of flow/duties.py: morning_notice | preflight_1 ...
    due_at       timestamptz NOT NULL,      -- as planned
    drop_at      timestamptz,               -- from then on it is too late for it; NULL: never
    next_at      timestamptz NOT NULL,      -- when a worker takes it next; taking it moves this on
    state        text NOT NULL DEFAULT 'due',
    tries        integer NOT NULL DEFAULT 0,
    outcome      text,                      -- of what is done or dropped: why, or what was found
    ended_at     timestamptz,
    PRIMARY KEY (stop_id, plan_number, kind)
);
CREATE INDEX duty_next ON duty (next_at) WHERE state IN ('due', 'taken');

-- What each pre-flight found; one row a stop, plan and kind, the latest of its kind. No position.
CREATE TABLE preflight (
    stop_id        text COLLATE "C" NOT NULL REFERENCES stop,
    plan_number    integer NOT NULL,
    kind           text NOT NULL,           -- preflight_1 | preflight_2 | heading | recheck | asked
    at             timestamptz NOT NULL,
    reasons        text[] NOT NULL,         -- incidents, in the order of the checks; empty: all is well
    is_seen        boolean NOT NULL,        -- false: nothing is known of the car, its read budget is used up
    parking        text NOT NULL,           -- in_range | out_of_range | unsure | unknown
    distance_m     double precision,        -- in whole tens
    observed_at    timestamptz,             -- when the car saw itself so
    is_alarming    boolean NOT NULL,        -- the household was told that something stands in the way, and not since: all is well
    rules_version  text NOT NULL,
    PRIMARY KEY (stop_id, plan_number, kind)
);

-- How often a car was read outside of visits, on one day of its address. One row a car.
CREATE TABLE read_budget (
    car      text COLLATE "C" PRIMARY KEY,  -- the closure's key, else its access point
    day      date NOT NULL,                 -- of the address; it never goes back
    spent    integer NOT NULL,
    last_at  timestamptz NOT NULL
);
