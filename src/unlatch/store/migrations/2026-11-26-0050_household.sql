-- Several people share a place. Its owner is access_point.consignee_id; the others are members.
CREATE TABLE member (
    access_point_id  text COLLATE "C" NOT NULL REFERENCES access_point,
    consignee_id     text COLLATE "C" NOT NULL REFERENCES consignee,
    joined_at        timestamptz NOT NULL,
    left_at          timestamptz,
    PRIMARY KEY (access_point_id, consignee_id, joined_at)
);
CREATE UNIQUE INDEX member_now ON member (access_point_id, consignee_id) WHERE left_at IS NULL;
CREATE INDEX member_of_consignee ON member (consignee_id) WHERE left_at IS NULL;

-- A code with which one person joins, once. Only its SHA-256 is kept. Real time, as it guards a door.
CREATE TABLE invitation (
    id               text COLLATE "C" PRIMARY KEY,
    access_point_id  text COLLATE "C" NOT NULL REFERENCES access_point,
    code_hash        bytea NOT NULL UNIQUE,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    used_by          text COLLATE "C" REFERENCES consignee,
    used_at          timestamptz
);
CREATE INDEX invitation_to_place ON invitation (access_point_id);

-- Who has blocked a place since it was last free: a member ends a block only where nobody else has one there.
ALTER TABLE access_point ADD COLUMN blocked_by text[] NOT NULL DEFAULT '{}';    -- ids of consignees
