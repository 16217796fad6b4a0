-- Watching live and later: whom a place's owner lets watch, and what lets a browser or a player in.

ALTER TABLE member ADD COLUMN may_watch boolean NOT NULL DEFAULT false;  -- the owner lets them see cameras and clips

-- What lets one browser or player watch one visit. Only its SHA-256 is kept. Its times are real, as it guards a door.
CREATE TABLE ticket (
    digest        bytea PRIMARY KEY,
    kind          text NOT NULL,        -- page | live (each good once) | player (until it ends)
    visit_id      text COLLATE "C" NOT NULL REFERENCES visit,
    consignee_id  text COLLATE "C" NOT NULL REFERENCES consignee,
    key_hash      bytea NOT NULL,       -- the consignee's key with which it was asked for: with another one it is dead
    until_real    timestamptz NOT NULL,
    used_at_real  timestamptz
);
CREATE INDEX ticket_of_visit ON ticket (visit_id, consignee_id);
CREATE INDEX ticket_old ON ticket (until_real);
