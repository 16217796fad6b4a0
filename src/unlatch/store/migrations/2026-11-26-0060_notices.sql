-- What people are told. A notice is one event for one reader; the unique index is why nobody is told twice.
CREATE TABLE notice (
    id               text COLLATE "C" PRIMARY KEY,
    reader           text NOT NULL,                      -- consignee | carrier | operator
    reader_id        text COLLATE "C" NOT NULL,          -- of an operator: "desk", which all of them read
    event            text NOT NULL,                      -- a word of domain/notice.py
    key              text COLLATE "C" NOT NULL,          -- what it is about: a stop and its plan, a visit ...
    access_point_id  text COLLATE "C" REFERENCES access_point,
    stop_id          text COLLATE "C" REFERENCES stop,
    visit_id         text COLLATE "C" REFERENCES visit,
    facts            jsonb NOT NULL,                     -- what its text is made with; never a plate or a position
    created_at       timestamptz NOT NULL,
    posted_at        timestamptz,                        -- its dispatches were made; NULL: not yet
    seen_at          timestamptz
);
CREATE UNIQUE INDEX notice_once ON notice (reader, reader_id, event, key);
CREATE INDEX notice_of_reader ON notice (reader, reader_id, created_at);
CREATE INDEX notice_to_post ON notice (created_at) WHERE posted_at IS NULL;
