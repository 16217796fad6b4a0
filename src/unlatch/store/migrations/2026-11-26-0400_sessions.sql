-- Browsers: who is signed in where, with which passkeys, and by which links. All times are real: they guard keys.

CREATE TABLE session (
    id           text COLLATE "C" PRIMARY KEY,
    token_hash   bytea NOT NULL UNIQUE,     -- of the cookie's token
    reader       text NOT NULL,             -- consignee | operator
    reader_id    text COLLATE "C" NOT NULL,
    agent        text NOT NULL,             -- "Firefox on Android", for whoever looks through the list
    created_at   timestamptz NOT NULL,
    seen_at      timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    proved_at    timestamptz NOT NULL,      -- when its person has shown last who they are: step-up asks for a recent one
    settles_at   timestamptz NOT NULL,      -- a new device may widen nothing before
    ended_at     timestamptz
);
CREATE INDEX session_of_reader ON session (reader, reader_id, created_at) WHERE ended_at IS NULL;
CREATE INDEX session_by_age ON session (expires_at);

CREATE TABLE passkey (
    id             text COLLATE "C" PRIMARY KEY,
    reader         text NOT NULL,
    reader_id      text COLLATE "C" NOT NULL,
    credential_id  bytea NOT NULL UNIQUE,
    public_key     bytea NOT NULL,
    sign_count     bigint NOT NULL,
    name           text NOT NULL,
    created_at     timestamptz NOT NULL,
    used_at        timestamptz,
    removed_at     timestamptz
);
CREATE INDEX passkey_of_reader ON passkey (reader, reader_id) WHERE removed_at IS NULL;

-- What a browser is to sign next, once, within minutes. `session_id` NULL: to sign in.
CREATE TABLE challenge (
    digest      bytea PRIMARY KEY,
    purpose     text NOT NULL,              -- sign_in | add_passkey | step_up
    session_id  text COLLATE "C" REFERENCES session,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX challenge_by_age ON challenge (expires_at);

-- A link that was sent to a mail address that is confirmed. Used once.
CREATE TABLE sign_in_link (
    digest      bytea PRIMARY KEY,
    reader      text NOT NULL,
    reader_id   text COLLATE "C" NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);
CREATE INDEX sign_in_link_by_age ON sign_in_link (expires_at);
CREATE INDEX sign_in_link_of_reader ON sign_in_link (reader, reader_id, created_at);
-- Whose address is that? For the link by which one comes in.
CREATE INDEX channel_of_mail ON channel (digest) WHERE kind = 'email' AND state = 'live';
