-- A browser that films for a camera of the maker `browser`. The household makes a link, good once and for a while (real
-- time, as a code's): the browser that opens it trades it for a key of its own. Of both only the hash is kept.

-- A link, or none -> a browser with its key; a new link leaves the browser of before, until another one opens it.
CREATE TABLE camera_feed (
    camera_id        text COLLATE "C" PRIMARY KEY REFERENCES camera,
    link_hash        bytea UNIQUE,          -- NULL: it was used
    link_until_real  timestamptz,
    key_hash         bytea UNIQUE,          -- of the one browser that may film; NULL: none has come yet
    bound_at_real    timestamptz
);
