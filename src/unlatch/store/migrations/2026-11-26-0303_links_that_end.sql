-- A place that got another owner: until then the former owner's account still reaches its car.
ALTER TABLE vehicle ADD COLUMN link_ends_at timestamptz;    -- NULL: the account is its owner's, or there is none
CREATE INDEX vehicle_link_ends ON vehicle (link_ends_at) WHERE link_ends_at IS NOT NULL;
