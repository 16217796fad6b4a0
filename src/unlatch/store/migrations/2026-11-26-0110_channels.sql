-- By which ways people are told, what they want to be told there and when, and how each notice fared on each way.

-- A way to reach a consignee or a carrier's back end. `sealed` is an AES-256-GCM envelope, emptied when it is gone; `shown`
-- tells the owner which one it is ("a•••@example.org").
--   state: unconfirmed -> live -> gone; unconfirmed -> gone
CREATE TABLE channel (
    id               text COLLATE "C" PRIMARY KEY,
    reader           text NOT NULL,                      -- consignee | carrier
    reader_id        text COLLATE "C" NOT NULL,
    kind             text NOT NULL,                      -- email | webpush | sms | other | webhook
    sealed           bytea NOT NULL,
    digest           bytea NOT NULL,                     -- keyed, of the address: the same one is not taken on twice
    shown            text NOT NULL,
    state            text NOT NULL,
    groups_off       text[] NOT NULL DEFAULT '{}',       -- of domain/notice.py; ALARM is never among them
    code_digest      bytea,                              -- keyed; of the code that was sent there, until it comes back
    code_expires_at  timestamptz,                        -- real time, as it guards a door
    code_tries       integer NOT NULL DEFAULT 0,
    failures         integer NOT NULL DEFAULT 0,         -- in a row
    rests_until      timestamptz,                        -- after a failure nothing is tried there before
    created_at       timestamptz NOT NULL,               -- real time: how many were made today is limited
    gone_at          timestamptz,
    why_gone         text
);
CREATE UNIQUE INDEX channel_once ON channel (reader, reader_id, kind, digest) WHERE state <> 'gone';
CREATE INDEX channel_of_reader ON channel (reader, reader_id, created_at);

-- When a consignee wants to be left alone: alarms come all the same. Hours of the wall clock in `time_zone`.
CREATE TABLE notice_preference (
    consignee_id  text COLLATE "C" PRIMARY KEY REFERENCES consignee,
    quiet_from    time NOT NULL,
    quiet_until   time NOT NULL,
    time_zone     text NOT NULL
);

-- One notice on its way over one channel. The primary key is why none is sent there twice.
--   state: due -> taken -> sent | failed | dropped | due (tried again later); taken -> taken (its worker was lost)
CREATE TABLE dispatch (
    notice_id   text COLLATE "C" NOT NULL REFERENCES notice,
    channel_id  text COLLATE "C" NOT NULL REFERENCES channel,
    kind        text NOT NULL,                           -- the channel's
    state       text NOT NULL,
    tries       integer NOT NULL DEFAULT 0,
    next_at     timestamptz,                             -- due: when; taken: when another worker takes it over
    why         text,                                    -- it failed, was dropped, or is late
    created_at  timestamptz NOT NULL,
    sent_at     timestamptz,
    PRIMARY KEY (notice_id, channel_id)
);
CREATE INDEX dispatch_due ON dispatch (kind, next_at) WHERE state IN ('due', 'taken');
CREATE INDEX dispatch_failed ON dispatch (created_at) WHERE state = 'failed';

CREATE INDEX notice_unseen ON notice (reader, reader_id, created_at) WHERE seen_at IS NULL;
