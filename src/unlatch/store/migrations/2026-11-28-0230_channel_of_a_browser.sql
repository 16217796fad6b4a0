-- A browser is told while it is signed in: its channel ends with its session. No reference: a session is deleted when its
-- time is up, and whose time is up without being signed out is told on.
ALTER TABLE channel ADD COLUMN session_id text COLLATE "C";  -- NULL: of no browser
CREATE INDEX channel_of_session ON channel (session_id) WHERE session_id IS NOT NULL AND state <> 'gone';
