-- Accounts that consignees have at makers, and into which they let us. Tokens are sealed (store/vault.py), bound to the
-- row's id. A refresh token is good once, so who spends it, and since when, is committed before it leaves.
--   state: live -> lost (the maker no longer lets us in) -> live (linked again)
--          live | lost -> ending (un-linked: opens nothing; kept while something must still be locked, or the maker
--          told) -> ended (its tokens are destroyed)
CREATE TABLE maker_account (
    id                text COLLATE "C" PRIMARY KEY,
    consignee_id      text COLLATE "C" NOT NULL REFERENCES consignee,
    maker             text NOT NULL,             -- a name of devices/makers
    state             text NOT NULL,
    sealed            bytea,                     -- access and refresh token; NULL: lost or ended
    scopes            text[] NOT NULL,           -- what the owner agreed to
    generation        integer NOT NULL,          -- counts its tokens
    access_expires_at timestamptz NOT NULL,      -- by the clock of the physical world, as the maker's
    refresh_at        timestamptz NOT NULL,      -- from then on it is renewed, if anyone is about to need it
    keep_alive_at     timestamptz,               -- refresh by then even if nobody needs it: unused, it dies; NULL: never
    spent_at          timestamptz,               -- physical: when the refresh token may first have been used; NULL: surely not
    held_by           text,                      -- who refreshes or revokes now
    held_until        timestamptz,               -- real: after that, another may take over
    again_at          timestamptz,               -- real: not tried before, since it has just failed
    linked_at         timestamptz NOT NULL,
    lost_at           timestamptz,
    unlinked_at       timestamptz,
    ended_at          timestamptz,
    is_revoked        boolean NOT NULL DEFAULT false,  -- the maker has confirmed that our tokens are worth nothing
    CHECK ((sealed IS NULL) = (state IN ('lost', 'ended')) OR state = 'ending')
);
CREATE INDEX maker_account_of_consignee ON maker_account (consignee_id, id);
CREATE INDEX maker_account_to_keep ON maker_account (keep_alive_at) WHERE state = 'live';
CREATE INDEX maker_account_ending ON maker_account (id) WHERE state = 'ending';

-- A link that was begun. Only the state's SHA-256 is kept; the verifier is sealed, bound to the row's id. Real time.
CREATE TABLE link_request (
    id            text COLLATE "C" PRIMARY KEY,
    state_hash    bytea NOT NULL UNIQUE,
    consignee_id  text COLLATE "C" NOT NULL REFERENCES consignee,
    account_id    text COLLATE "C" REFERENCES maker_account,   -- to link again; NULL: a new one
    maker         text NOT NULL,
    sealed        bytea,                         -- the verifier; NULL: used
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz
);
CREATE INDEX link_request_by_age ON link_request (expires_at);
CREATE INDEX link_request_of_consignee ON link_request (consignee_id, created_at);

ALTER TABLE vehicle ADD COLUMN account_id text COLLATE "C" REFERENCES maker_account;  -- NULL: tokens given by the carrier
ALTER TABLE vehicle ADD COLUMN powers text[];            -- what the maker says that the car can do from afar
CREATE INDEX vehicle_of_account ON vehicle (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX stop_in_window ON stop (window_until) WHERE state IN ('open', 'fallback_due');
