-- What an operator ruled and which calls they closed, by who. Partial: other facts of a visit don't pay for it.
CREATE INDEX ruling_by_person ON journal (who, at) WHERE name IN ('ruled_delivered', 'ruled_undelivered');
CREATE INDEX call_by_closer ON call (closed_by, closed_at) WHERE kind = 'operator' AND closed_at IS NOT NULL;
