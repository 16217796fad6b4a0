-- The first schema: who takes part, where parcels go, and what happened at the door.
-- Identifiers are text: a word for the kind, then a time-ordered number (vis_0192...). Times are the platform's.
-- Enums are text; the arrows of each stand in the comments and, for visits, in domain/visit.py.

-- ---------------------------------------------------------------- who takes part

-- A carrier or merchant: its back end speaks the API with one key. Only the key's SHA-256 is kept.
CREATE TABLE carrier (
    id          text COLLATE "C" PRIMARY KEY,
    name        text NOT NULL,
    key_hash    bytea NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL
);

-- One of the platform's own people. May lock, revoke, freeze, rule, call; can never unlock (S8).
CREATE TABLE operator (
    id          text COLLATE "C" PRIMARY KEY,
    name        text NOT NULL,
    key_hash    bytea NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL
);

CREATE TABLE consignee (
    id          text COLLATE "C" PRIMARY KEY,
    carrier_id  text COLLATE "C" NOT NULL REFERENCES carrier,
    name        text NOT NULL,
    language    text NOT NULL,              -- en | fr
    key_hash    bytea NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL
);
CREATE INDEX consignee_of_carrier ON consignee (carrier_id);

CREATE TABLE courier (
    id          text COLLATE "C" PRIMARY KEY,
    carrier_id  text COLLATE "C" NOT NULL REFERENCES carrier,
    first_name  text NOT NULL,              -- all that a consignee ever sees of the name
    is_active   boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL
);
CREATE INDEX courier_of_carrier ON courier (carrier_id);

-- A courier's phone. It is enrolled with a one-time code and its own key; its token works with that key alone.
CREATE TABLE device (
    id               text COLLATE "C" PRIMARY KEY,
    courier_id       text COLLATE "C" NOT NULL REFERENCES courier,
    code_hash        bytea UNIQUE,          -- until enrolled
    code_expires_at  timestamptz,
    thumbprint       text COLLATE "C",      -- of the public key (RFC 7638), once enrolled
    token_hash       bytea UNIQUE,
    created_at       timestamptz NOT NULL,
    enrolled_at      timestamptz,
    revoked_at       timestamptz
);
CREATE INDEX device_of_courier ON device (courier_id);

-- ---------------------------------------------------------------- where parcels go

-- One lockable place of one consignee. Its row is what the gate, a block and a scan lock first.
CREATE TABLE access_point (
    id                  text COLLATE "C" PRIMARY KEY,
    carrier_id          text COLLATE "C" NOT NULL REFERENCES carrier,
    consignee_id        text COLLATE "C" NOT NULL REFERENCES consignee,
    kind                text NOT NULL,      -- car | home
    latitude            double precision NOT NULL,   -- of the address
    longitude           double precision NOT NULL,
    range_m             double precision NOT NULL,
    time_zone           text NOT NULL,      -- of the address, IANA
    allows_unseen_lock  boolean NOT NULL,   -- the programme takes closures whose lock can't be read (S5)
    is_consent_given    boolean NOT NULL,
    blocked_at          timestamptz,        -- one tap; the latest block
    consent_ends_at     timestamptz,
    from_local          time,               -- daily hours; both or neither
    until_local         time,
    is_frozen           boolean NOT NULL DEFAULT false,  -- by an operator
    created_at          timestamptz NOT NULL,
    CHECK ((from_local IS NULL) = (until_local IS NULL))
);
CREATE INDEX access_point_of_consignee ON access_point (consignee_id);

-- The car behind an access point, and how its maker's cloud is reached. `sealed` is an AES-256-GCM envelope.
CREATE TABLE vehicle (
    access_point_id  text COLLATE "C" PRIMARY KEY REFERENCES access_point,
    maker            text NOT NULL,         -- a name of devices/makers
    account_kind     text,
    sealed           bytea NOT NULL,        -- VIN, tokens, keys
    make             text NOT NULL,
    model            text NOT NULL,
    model_year       integer,
    colour           text NOT NULL,
    plate            text NOT NULL,         -- shown to the courier in the window and near only; each look is a row
    picture_url      text
);

-- The last reading of each closure, for the decision and for S7. One row a place, overwritten.
CREATE TABLE reading (
    access_point_id  text COLLATE "C" PRIMARY KEY REFERENCES access_point,
    observed_at      timestamptz,           -- NULL: nothing was ever read
    is_locked        boolean,
    is_open          boolean,
    is_moving        boolean,
    latitude         double precision,
    longitude        double precision,
    accuracy_m       double precision,
    refused          text,                  -- incident: why the last try failed; NULL after a good one
    tried_at         timestamptz NOT NULL
);

-- ---------------------------------------------------------------- what is to be done

CREATE TABLE shipment (
    id            text COLLATE "C" PRIMARY KEY,
    carrier_id    text COLLATE "C" NOT NULL REFERENCES carrier,
    consignee_id  text COLLATE "C" NOT NULL REFERENCES consignee,
    reference     text NOT NULL,
    created_at    timestamptz NOT NULL
);
CREATE INDEX shipment_of_carrier ON shipment (carrier_id);

CREATE TABLE stop (
    id               text COLLATE "C" PRIMARY KEY,
    carrier_id       text COLLATE "C" NOT NULL REFERENCES carrier,
    courier_id       text COLLATE "C" NOT NULL REFERENCES courier,
    access_point_id  text COLLATE "C" NOT NULL REFERENCES access_point,
    shipment_id      text COLLATE "C" NOT NULL REFERENCES shipment,
    window_from      timestamptz NOT NULL,
    window_until     timestamptz NOT NULL,
    fallback         text NOT NULL,         -- to_door | neighbour | pickup_point | tomorrow | depot
    state            text NOT NULL,         -- open -> delivered | fallback_due -> open (scanned again) | fallback_done
    created_at       timestamptz NOT NULL,
    CHECK (window_from < window_until)
);
CREATE INDEX stop_of_courier ON stop (courier_id, window_until);
CREATE INDEX stop_of_access_point ON stop (access_point_id, window_until);

-- A parcel is in exactly one place (L4).
CREATE TABLE parcel (
    id           text COLLATE "C" PRIMARY KEY,
    carrier_id   text COLLATE "C" NOT NULL REFERENCES carrier,
    shipment_id  text COLLATE "C" NOT NULL REFERENCES shipment,
    stop_id      text COLLATE "C" REFERENCES stop,
    label_key    text COLLATE "C" NOT NULL,  -- as domain/parcel.py reads it: "sscc:340123450000000017"
    place        text NOT NULL,              -- with_carrier -> with_courier -> in_place | at_fallback | returned
    held_by      text COLLATE "C",           -- the courier, while with_courier
    created_at   timestamptz NOT NULL,
    UNIQUE (carrier_id, label_key)
);
CREATE INDEX parcel_of_stop ON parcel (stop_id);
CREATE INDEX parcel_of_shipment ON parcel (shipment_id);

-- ---------------------------------------------------------------- what happens at the door

-- One attempt. The columns down to `tail` are domain/visit.py's Visit; the rest is the shell's.
CREATE TABLE visit (
    id               text COLLATE "C" PRIMARY KEY,
    stop_id          text COLLATE "C" NOT NULL REFERENCES stop,
    access_point_id  text COLLATE "C" NOT NULL REFERENCES access_point,
    courier_id       text COLLATE "C" NOT NULL REFERENCES courier,
    carrier_id       text COLLATE "C" NOT NULL REFERENCES carrier,
    closure          jsonb NOT NULL,
    is_recorded      boolean NOT NULL,
    state            text NOT NULL,
    deadline_at      timestamptz,           -- of the state or of the tail; NULL: nothing more can happen
    whereabouts      text NOT NULL,
    has_opened       boolean NOT NULL,
    is_clean         boolean NOT NULL,
    is_called        boolean NOT NULL,
    secure_by        timestamptz,
    late_until       timestamptz,
    locked_counts_after timestamptz,
    tail             text NOT NULL,
    incident         text,                  -- the latest thing that went wrong, if any
    begun_at         timestamptz NOT NULL,
    ended_at         timestamptz,           -- set with the final state
    last_observed_at timestamptz,           -- of the last reading used (S7)
    last_command_at  timestamptz,           -- when our last command may have left (S5)
    next_read_at     timestamptz,           -- when the watch reads next; NULL: not watched
    journal_number   integer NOT NULL,      -- the head of the chain
    journal_hash     bytea,                 -- NULL: no entry yet
    journal_at       timestamptz NOT NULL,
    anchored_number  integer NOT NULL DEFAULT 0
);
-- S6: one live visit per access point and one per courier. These two indexes are the rule.
CREATE UNIQUE INDEX visit_live_at_place ON visit (access_point_id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX visit_live_of_courier ON visit (courier_id) WHERE ended_at IS NULL;
-- S2: is an earlier unlock at this place still able to act?
CREATE INDEX visit_tail_at_place ON visit (access_point_id) WHERE tail IN ('watching', 'alarm', 'blind');
CREATE INDEX visit_of_stop ON visit (stop_id);
CREATE INDEX visit_of_place ON visit (access_point_id, begun_at);
CREATE INDEX visit_due ON visit (deadline_at) WHERE deadline_at IS NOT NULL;
CREATE INDEX visit_to_read ON visit (next_read_at) WHERE next_read_at IS NOT NULL;
CREATE INDEX visit_to_anchor ON visit (journal_at) WHERE journal_number > anchored_number;

-- The parcels that were scanned for this visit.
CREATE TABLE visit_parcel (
    visit_id   text COLLATE "C" NOT NULL REFERENCES visit,
    parcel_id  text COLLATE "C" NOT NULL REFERENCES parcel,
    PRIMARY KEY (visit_id, parcel_id)
);

-- A single-use permission: live -> used | dead.
CREATE TABLE grant_ (
    id              text COLLATE "C" PRIMARY KEY,
    visit_id        text COLLATE "C" NOT NULL UNIQUE REFERENCES visit,
    state           text NOT NULL,
    policy_version  text NOT NULL,
    epoch           integer NOT NULL,       -- of the fence, when granted (S10)
    granted_at      timestamptz NOT NULL,
    ended_at        timestamptz
);

-- A command to a closure: intent -> sent -> done_says_cloud | rejected | not_sent | unknown; intent -> not_sent.
-- At most one unlock per grant (S2): the unique index is the rule.
CREATE TABLE command (
    id               text COLLATE "C" PRIMARY KEY,
    visit_id         text COLLATE "C" NOT NULL REFERENCES visit,
    grant_id         text COLLATE "C" UNIQUE REFERENCES grant_,   -- unlock only
    verb             text NOT NULL,         -- unlock | lock
    state            text NOT NULL,
    created_at       timestamptz NOT NULL,
    sent_at          timestamptz,
    ended_at         timestamptz,
    worker           text,                  -- who carries it out
    lease_until      timestamptz,           -- after that, another may take over
    CHECK ((verb = 'unlock') = (grant_id IS NOT NULL))
);
CREATE INDEX command_of_visit ON command (visit_id);
CREATE INDEX command_under_way ON command (lease_until) WHERE state = 'sent';

-- The fence: raised after a restore or a lossy failover; grants of an older epoch are dead (S10). One row.
CREATE TABLE fence (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch     integer NOT NULL
);
INSERT INTO fence (epoch) VALUES (1);

-- A person is called. One open call per visit and kind.
CREATE TABLE call (
    id         text COLLATE "C" PRIMARY KEY,
    visit_id   text COLLATE "C" NOT NULL REFERENCES visit,
    kind       text NOT NULL,               -- operator | consignee
    incident   text NOT NULL,
    opened_at  timestamptz NOT NULL,
    times      integer NOT NULL DEFAULT 1,  -- how often it was repeated while open
    closed_at  timestamptz,
    closed_by  text
);
CREATE UNIQUE INDEX call_open ON call (visit_id, kind) WHERE closed_at IS NULL;
CREATE INDEX call_of_kind ON call (kind, opened_at) WHERE closed_at IS NULL;

-- ---------------------------------------------------------------- evidence

-- The journal: append-only, hash-chained per visit (domain/proof.py).
CREATE TABLE journal (
    visit_id        text COLLATE "C" NOT NULL,
    number          integer NOT NULL,
    at              timestamptz NOT NULL,
    kind            text NOT NULL,
    name            text NOT NULL,
    who             text NOT NULL,
    body            jsonb NOT NULL,
    private_digest  text,
    previous_hash   bytea,                   -- NULL: the first
    hash            bytea NOT NULL,
    PRIMARY KEY (visit_id, number)
);

-- What may be forgotten (positions, plates): beside the chain, which keeps only its salted digest.
CREATE TABLE journal_private (
    visit_id  text COLLATE "C" NOT NULL,
    number    integer NOT NULL,
    salt      bytea NOT NULL,
    body      jsonb NOT NULL,
    PRIMARY KEY (visit_id, number)
);

-- Each look by a person at a position or a plate (A3), shown to the consignee.
CREATE TABLE look (
    id               text COLLATE "C" PRIMARY KEY,
    access_point_id  text COLLATE "C" NOT NULL REFERENCES access_point,
    stop_id          text COLLATE "C" REFERENCES stop,
    who              text NOT NULL,
    what             text NOT NULL,         -- position_and_plate | refused:<incident> ...
    at               timestamptz NOT NULL
);
CREATE INDEX look_at_place ON look (access_point_id, at);

CREATE TABLE photo (
    sha256      bytea NOT NULL,
    visit_id    text COLLATE "C" NOT NULL REFERENCES visit,
    media_type  text NOT NULL,
    content     bytea NOT NULL,             -- re-encoded: no position, no device name
    taken_at    timestamptz NOT NULL,
    PRIMARY KEY (visit_id, sha256)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the % is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER journal_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER look_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON look
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- ---------------------------------------------------------------- requests

-- What a POST with this idempotency key was answered; a repeat gets the same answer. Forgotten after a day.
CREATE TABLE idempotency (
    principal     text COLLATE "C" NOT NULL,
    key           text COLLATE "C" NOT NULL,
    request_hash  bytea NOT NULL,
    status        integer,                  -- NULL: still under way
    answer        bytea,
    at            timestamptz NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_by_age ON idempotency (at);

-- Proofs of possession that were used (RFC 9449, section 11.1). Forgotten when they have expired.
CREATE TABLE used_proof (
    digest      bytea PRIMARY KEY,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX used_proof_by_age ON used_proof (expires_at);
