-- Of which place a finding is: what the household was told of it outlives the plan, but not a move to another place.
ALTER TABLE preflight ADD COLUMN access_point_id text COLLATE "C" REFERENCES access_point;  -- NULL: written before this
