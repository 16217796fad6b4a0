-- Operators have channels too: `reader` of a channel may be operator, and its `reader_id` is that operator's. Notices of the
-- desk go to the channels of all of them. Consignees have a language of their own; a channel of anyone else may have one.
ALTER TABLE channel ADD COLUMN language text;               -- en | fr; NULL: its reader's, else English
CREATE INDEX channel_of_operators ON channel (created_at) WHERE reader = 'operator' AND state = 'live';
