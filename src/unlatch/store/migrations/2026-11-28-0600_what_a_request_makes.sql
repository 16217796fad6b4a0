-- The identifier for what a request makes is chosen when its key is claimed: whoever takes the claim over makes no second one.
ALTER TABLE idempotency ADD COLUMN makes text COLLATE "C";  -- NULL: an answer that is kept with its work
