-- A ticket that a browser asks for dies with its session. No reference: a session is deleted when its time is up.
ALTER TABLE ticket ADD COLUMN session_id text COLLATE "C";  -- NULL: asked for with a key, which must still be the same
