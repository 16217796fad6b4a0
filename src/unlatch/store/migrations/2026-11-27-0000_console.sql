-- A freeze that is wider than one place: nothing is opened by a courier, through a maker's cloud, in an area, or at all.
-- That of one place stays a column of its access point.
CREATE TABLE freeze_ (
    id         text COLLATE "C" PRIMARY KEY,
    scope      text NOT NULL CHECK (scope IN ('courier', 'cloud', 'area', 'everything')),
    subject    text NOT NULL,              -- a courier's id | a maker's name | what an area is called | empty
    latitude   double precision,           -- an area's middle; areas alone have one
    longitude  double precision,
    radius_m   double precision,
    why        text NOT NULL,
    frozen_by  text NOT NULL,              -- operator:...
    frozen_at  timestamptz NOT NULL,
    thawed_by  text,
    thawed_at  timestamptz,
    stopped_at timestamptz,                -- a worker has stopped what was under way
    swept_at   timestamptz,                -- nothing is left to follow up: stopped, and looked at again after a thaw
    CHECK ((scope = 'area') = (latitude IS NOT NULL AND longitude IS NOT NULL AND radius_m IS NOT NULL)),
    CHECK ((thawed_by IS NULL) = (thawed_at IS NULL))
);
CREATE UNIQUE INDEX freeze_in_force ON freeze_ (scope, subject) WHERE thawed_at IS NULL;
CREATE INDEX freeze_to_sweep ON freeze_ (frozen_at) WHERE swept_at IS NULL;
CREATE INDEX freeze_by_time ON freeze_ (frozen_at, id);

-- The console: couriers by carrier, by name and by time; deeds, looks and visits by who.
CREATE INDEX courier_by_time ON courier (created_at, id);
CREATE INDEX courier_of_carrier_by_time ON courier (carrier_id, created_at, id);
CREATE INDEX courier_by_name ON courier (lower(first_name), created_at, id);
CREATE INDEX deed_by_person ON deed (who, at);
CREATE INDEX look_by_person ON look (who, at);
CREATE INDEX visit_of_courier ON visit (courier_id, begun_at);

-- Who changed which file of the rules, and how it read before; the files themselves stay what counts.
CREATE TABLE rule_edit (
    id              text COLLATE "C" PRIMARY KEY,
    file            text NOT NULL,
    before          text,                  -- null: it was not there
    after           text NOT NULL,
    version_before  text NOT NULL,
    version_after   text NOT NULL,
    why             text NOT NULL,
    who             text NOT NULL,         -- operator:...
    at              timestamptz NOT NULL
);
CREATE INDEX rule_edit_by_time ON rule_edit (at, id);
CREATE TRIGGER rule_edit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_edit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
