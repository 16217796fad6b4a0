-- One car may stand behind several access points: home and work, or those of two carriers who do not know of each
-- other. What must be one at a time is the closure (S2, S6), so each car bears a key: a keyed digest of maker and VIN, from
-- which neither can be found. Rows of older releases have none, and are kept apart by their access point alone until
-- `unlatch reseal` has given them theirs.
ALTER TABLE vehicle ADD COLUMN closure_key bytea;
ALTER TABLE visit ADD COLUMN closure_key bytea;
CREATE UNIQUE INDEX visit_live_at_closure ON visit (closure_key) WHERE ended_at IS NULL;
CREATE INDEX visit_tail_at_closure ON visit (closure_key) WHERE tail IN ('watching', 'alarm', 'blind');
