-- Which programme a carrier books under, what its consignees and their cars are known to be, and what a parcel is.
-- Eligibility (domain/eligibility.py) is asked at booking. What nobody has told stays NULL.
ALTER TABLE carrier ADD COLUMN programme text NOT NULL DEFAULT 'open';          -- a name in the rules
ALTER TABLE consignee ADD COLUMN plans text[] NOT NULL DEFAULT '{}';            -- memberships, as the carrier told
ALTER TABLE access_point ADD COLUMN country text NOT NULL DEFAULT 'US';         -- ISO 3166-1, two letters
ALTER TABLE access_point ADD COLUMN name text NOT NULL DEFAULT '';              -- as its household calls it
ALTER TABLE vehicle ADD COLUMN has_service boolean;                             -- the connected service is subscribed to
ALTER TABLE parcel ADD COLUMN weight_g numeric;
ALTER TABLE parcel ADD COLUMN sides_mm numeric[];                               -- three
ALTER TABLE parcel ADD COLUMN value_cents bigint;
ALTER TABLE parcel ADD COLUMN currency text;
ALTER TABLE parcel ADD COLUMN needs_signature boolean;
ALTER TABLE parcel ADD COLUMN is_sold_by_merchant boolean;
ALTER TABLE parcel ADD COLUMN is_dangerous boolean;
