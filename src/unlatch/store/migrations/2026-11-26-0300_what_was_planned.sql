-- The window's end as it was planned, before the household's one extension of it: another try has that length again.
ALTER TABLE stop ADD COLUMN planned_until timestamptz;      -- NULL: not extended, or before this was written down
