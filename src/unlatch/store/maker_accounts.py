"""Consignees' accounts at makers, and the links that were begun. Which cars hang on them: `store/links.py`.

Who refreshes or revokes holds the row (`held_by`, until `held_until`): taking hold commits before anything leaves, and
what came of it is kept only by who still holds it. So two never spend one refresh token knowing nothing of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from unlatch.domain.linking import AccountState


@dataclass(frozen=True, slots=True, kw_only=True)
class MakerAccountRow:
    """One account."""

    id: str
    consignee_id: str
    maker: str
    state: AccountState
    sealed: bytes | None
    scopes: list[str]
    generation: int
    access_expires_at: datetime
    refresh_at: datetime
    keep_alive_at: datetime | None
    spent_at: datetime | None
    held_by: str | None
    held_until: datetime | None
    again_at: datetime | None
    linked_at: datetime
    lost_at: datetime | None
    unlinked_at: datetime | None
    ended_at: datetime | None
    is_revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTokens:
    """Tokens as they are kept."""

    sealed: bytes
    access_expires_at: datetime
    refresh_at: datetime
    keep_alive_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRequestRow:
    """A link that was begun."""

    id: str
    consignee_id: str
    account_id: str | None
    maker: str
    sealed: bytes | None
    expires_at: datetime
    used_at: datetime | None


_NAMES = MakerAccountRow.__slots__
_ALL = ", ".join(_NAMES)
_INSERT = (
    f"INSERT INTO maker_account ({_ALL}) VALUES ({', '.join(f'%({name})s' for name in _NAMES)})"
).encode()
_REQUEST = "id, consignee_id, account_id, maker, sealed, expires_at, used_at"
# What may have to be locked soon, or must be seen locked: with `maker_account` in the statement around it.
_IN_USE = """
    (EXISTS (SELECT 1 FROM vehicle JOIN visit ON visit.access_point_id = vehicle.access_point_id
             WHERE vehicle.account_id = maker_account.id AND visit.ended_at IS NULL)
     OR EXISTS (SELECT 1 FROM vehicle JOIN visit ON visit.access_point_id = vehicle.access_point_id
                WHERE vehicle.account_id = maker_account.id AND visit.tail IN ('watching', 'alarm', 'blind')))
"""
_LIST_DUE = """
    -- Accounts whose access token is needed now or soon, and ends soon: a visit or its tail lives there, or a window.
    -- And those whose refresh token would die of never being used.
    SELECT id, generation FROM maker_account
    WHERE state IN ('live', 'ending') AND (again_at IS NULL OR again_at <= %(real_now)s)
      AND (held_until IS NULL OR held_until <= %(real_now)s)
      AND id IN (
        SELECT id FROM maker_account kept WHERE kept.state = 'live' AND kept.keep_alive_at <= %(now)s
        UNION
        SELECT vehicle.account_id FROM visit JOIN vehicle ON vehicle.access_point_id = visit.access_point_id
        JOIN maker_account kept ON kept.id = vehicle.account_id AND kept.refresh_at <= %(now)s
        WHERE visit.ended_at IS NULL
        UNION
        SELECT vehicle.account_id FROM visit JOIN vehicle ON vehicle.access_point_id = visit.access_point_id
        JOIN maker_account kept ON kept.id = vehicle.account_id AND kept.refresh_at <= %(now)s
        WHERE visit.tail IN ('watching', 'alarm', 'blind')
        UNION
        SELECT vehicle.account_id FROM stop JOIN vehicle ON vehicle.access_point_id = stop.access_point_id
        JOIN maker_account kept ON kept.id = vehicle.account_id AND kept.refresh_at <= %(now)s
        WHERE stop.state IN ('open', 'fallback_due') AND kept.state = 'live'
          AND stop.window_until > %(now)s AND stop.window_from <= %(ahead)s)
    ORDER BY access_expires_at LIMIT %(limit)s
"""
_HOLD = f"""
    -- Whoever gets it may send the refresh token of this generation; SKIP LOCKED: nobody queues up for it.
    UPDATE maker_account SET held_by = %(holder)s, held_until = %(held_until)s,
        spent_at = CASE WHEN %(is_spending)s THEN coalesce(spent_at, %(now)s) ELSE spent_at END
    WHERE id IN (SELECT id FROM maker_account WHERE id = %(account_id)s AND generation = %(generation)s
            AND state IN ('live', 'ending') AND (held_until IS NULL OR held_until <= %(real_now)s)
            AND (again_at IS NULL OR again_at <= %(real_now)s)
        FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING {_ALL}
"""
_KEEP_TOKENS = """
    -- Only by who holds it still: whoever took over after it has asked again, and the maker's later answer counts.
    UPDATE maker_account SET sealed = %(sealed)s, generation = generation + 1,
        access_expires_at = %(access_expires_at)s, refresh_at = %(refresh_at)s, keep_alive_at = %(keep_alive_at)s,
        spent_at = NULL, held_by = NULL, held_until = NULL, again_at = NULL
    WHERE id = %(account_id)s AND held_by = %(holder)s AND state IN ('live', 'ending')
"""
_LINK_AGAIN = """
    UPDATE maker_account SET state = 'live', sealed = %(sealed)s, scopes = %(scopes)s, generation = generation + 1,
        access_expires_at = %(access_expires_at)s, refresh_at = %(refresh_at)s, keep_alive_at = %(keep_alive_at)s,
        spent_at = NULL, held_by = NULL, held_until = NULL, again_at = NULL, linked_at = %(now)s, lost_at = NULL
    WHERE id = %(account_id)s AND state IN ('live', 'lost')
"""


def _account_row(row: dict[str, Any]) -> MakerAccountRow:
    sealed = row["sealed"]
    return MakerAccountRow(
        **{
            **row,
            "state": AccountState(row["state"]),
            "sealed": None if sealed is None else bytes(sealed),
        }
    )


async def insert_account(connection: AsyncConnection, row: MakerAccountRow) -> None:
    """A new account."""
    await connection.execute(_INSERT, {name: getattr(row, name) for name in _NAMES})


async def find_account(
    connection: AsyncConnection, account_id: str, *, consignee_id: str | None = None, is_locked: bool = False
) -> MakerAccountRow | None:
    """An account, or this consignee's alone."""
    query = (
        f"SELECT {_ALL} FROM maker_account WHERE id = %s AND (%s::text IS NULL OR consignee_id = %s)"
        f"{' FOR NO KEY UPDATE' if is_locked else ''}"
    )
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query.encode(), (account_id, consignee_id, consignee_id))
        row = await cursor.fetchone()
    return None if row is None else _account_row(row)


async def list_accounts(
    connection: AsyncConnection, consignee_id: str, *, limit: int = 100
) -> list[MakerAccountRow]:
    """A consignee's accounts, newest first."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"SELECT {_ALL} FROM maker_account WHERE consignee_id = %s ORDER BY id DESC LIMIT %s".encode(),
            (consignee_id, limit),
        )
        return [_account_row(row) for row in await cursor.fetchall()]


async def count_open_accounts(connection: AsyncConnection, consignee_id: str) -> int:
    """How many of a consignee's accounts have not ended."""
    cursor = await connection.execute(
        "SELECT count(*) FROM maker_account WHERE consignee_id = %s AND state <> 'ended'", (consignee_id,)
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


# ---- refreshing


async def list_due(
    connection: AsyncConnection,
    *,
    now: datetime,
    real_now: datetime,
    ahead: datetime,
    limit: int,
) -> list[tuple[str, int]]:
    """Accounts to refresh now, with their generation, the soonest to expire first."""
    values = {"now": now, "real_now": real_now, "ahead": ahead, "limit": limit}
    cursor = await connection.execute(_LIST_DUE, values)
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def hold(
    connection: AsyncConnection,
    account_id: str,
    *,
    generation: int,
    holder: str,
    now: datetime,
    real_now: datetime,
    held_for_s: float,
    is_spending: bool,
) -> MakerAccountRow | None:
    """Take hold of an account's tokens of this generation; None: someone else has, or they are others by now.

    `is_spending`: the refresh token is about to leave. The row then shows when it may first have been used; where it
    shows an earlier time, someone was lost with it on the way.
    """
    values = {
        "account_id": account_id,
        "generation": generation,
        "holder": holder,
        "now": now,
        "real_now": real_now,
        "held_until": real_now + timedelta(seconds=held_for_s),
        "is_spending": is_spending,
    }
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_HOLD.encode(), values)
        row = await cursor.fetchone()
    return None if row is None else _account_row(row)


async def keep_tokens(
    connection: AsyncConnection,
    account_id: str,
    *,
    holder: str,
    tokens: SealedTokens,
) -> bool:
    """The next generation. False: we were too slow, and hold it no more."""
    cursor = await connection.execute(
        _KEEP_TOKENS,
        {
            "account_id": account_id,
            "holder": holder,
            "sealed": tokens.sealed,
            "access_expires_at": tokens.access_expires_at,
            "refresh_at": tokens.refresh_at,
            "keep_alive_at": tokens.keep_alive_at,
        },
    )
    return cursor.rowcount == 1


async def let_go(
    connection: AsyncConnection,
    account_id: str,
    *,
    holder: str,
    again_at: datetime,
    was_spent_at: datetime | None,
) -> None:
    """It failed: another try, by anyone, from `again_at` on. `was_spent_at`: when the token may have been used."""
    await connection.execute(
        "UPDATE maker_account SET held_by = NULL, held_until = NULL, again_at = %s, spent_at = %s "
        "WHERE id = %s AND held_by = %s",
        (again_at, was_spent_at, account_id, holder),
    )


async def lose(connection: AsyncConnection, account_id: str, *, holder: str, now: datetime) -> bool:
    """Live -> lost, and its dead tokens are destroyed. One that is ending has nothing left to revoke: it has ended."""
    cursor = await connection.execute(
        "UPDATE maker_account SET state = CASE state WHEN 'ending' THEN 'ended' ELSE 'lost' END, sealed = NULL, "
        "lost_at = %s, ended_at = CASE state WHEN 'ending' THEN %s::timestamptz END, "
        "is_revoked = (state = 'ending'), keep_alive_at = NULL, spent_at = NULL, held_by = NULL, held_until = NULL, "
        "again_at = NULL WHERE id = %s AND held_by = %s AND state IN ('live', 'ending')",
        (now, now, account_id, holder),
    )
    return cursor.rowcount == 1


async def is_in_use(connection: AsyncConnection, account_id: str) -> bool:
    """Whether a visit or its tail lives at a car of this account."""
    cursor = await connection.execute(
        f"SELECT 1 FROM maker_account WHERE id = %s AND {_IN_USE}".encode(), (account_id,)
    )
    return await cursor.fetchone() is not None


# ---- linking


async def lock_owner(connection: AsyncConnection, consignee_id: str) -> None:
    """Make this consignee's new links wait for each other, so that none is missed by counting."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 120))", (f"links of {consignee_id}",)
    )


async def insert_request(
    connection: AsyncConnection, row: LinkRequestRow, *, state_hash: bytes, real_now: datetime
) -> None:
    """A link is begun."""
    await connection.execute(
        "INSERT INTO link_request (id, state_hash, consignee_id, account_id, maker, sealed, created_at, expires_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            row.id,
            state_hash,
            row.consignee_id,
            row.account_id,
            row.maker,
            row.sealed,
            real_now,
            row.expires_at,
        ),
    )


async def count_requests(connection: AsyncConnection, consignee_id: str, *, since: datetime) -> int:
    """How many links this consignee has begun."""
    cursor = await connection.execute(
        "SELECT count(*) FROM link_request WHERE consignee_id = %s AND created_at > %s", (consignee_id, since)
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def find_request(
    connection: AsyncConnection, state_hash: bytes, *, real_now: datetime
) -> tuple[LinkRequestRow, str, str, str] | None:
    """A link that can still be used, with the consignee's name and language and the carrier's name."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"SELECT {', '.join(f'link_request.{name}' for name in _REQUEST.split(', '))}, consignee.name, "
            "consignee.language, carrier.name AS carrier FROM link_request "
            "JOIN consignee ON consignee.id = link_request.consignee_id "
            "JOIN carrier ON carrier.id = consignee.carrier_id "
            "WHERE state_hash = %s AND used_at IS NULL AND expires_at > %s".encode(),
            (state_hash, real_now),
        )
        row = await cursor.fetchone()
    if row is None:
        return None
    request = LinkRequestRow(**{name: row[name] for name in _REQUEST.split(", ")})
    return request, row["name"], row["language"], row["carrier"]


async def use_request(
    connection: AsyncConnection, state_hash: bytes, *, real_now: datetime
) -> LinkRequestRow | None:
    """Use a link up, and destroy its verifier; None: there is none, it was used, or it is too old."""
    async with connection.cursor(row_factory=class_row(LinkRequestRow)) as cursor:
        await cursor.execute(
            f"UPDATE link_request SET used_at = %s, sealed = NULL FROM (SELECT id AS found_id, sealed AS was_sealed "
            "FROM link_request WHERE state_hash = %s AND used_at IS NULL AND expires_at > %s FOR UPDATE) found "
            f"WHERE id = found_id RETURNING {_REQUEST.replace('sealed', 'was_sealed AS sealed')}".encode(),
            (real_now, state_hash, real_now),
        )
        return await cursor.fetchone()


async def forget_old_requests(connection: AsyncConnection, before: datetime, *, limit: int) -> int:
    """Delete links that were begun long ago; how many."""
    cursor = await connection.execute(
        "DELETE FROM link_request WHERE id IN (SELECT id FROM link_request WHERE expires_at < %s LIMIT %s)",
        (before, limit),
    )
    return cursor.rowcount


async def link_again(
    connection: AsyncConnection,
    account_id: str,
    *,
    tokens: SealedTokens,
    scopes: Sequence[str],
    now: datetime,
) -> bool:
    """Lost -> live, with new tokens; every car that hangs on it is reached again. False: it was un-linked."""
    cursor = await connection.execute(
        _LINK_AGAIN,
        {
            "account_id": account_id,
            "sealed": tokens.sealed,
            "scopes": list(scopes),
            "access_expires_at": tokens.access_expires_at,
            "refresh_at": tokens.refresh_at,
            "keep_alive_at": tokens.keep_alive_at,
            "now": now,
        },
    )
    return cursor.rowcount == 1


# ---- un-linking


async def unlink(connection: AsyncConnection, account_id: str, *, now: datetime) -> None:
    """Live | lost -> ending: from now on it opens nothing. Another's hold is left alone: it ends by itself."""
    await connection.execute(
        "UPDATE maker_account SET state = 'ending', unlinked_at = %s, again_at = NULL "
        "WHERE id = %s AND state IN ('live', 'lost')",
        (now, account_id),
    )


async def list_ending(
    connection: AsyncConnection, *, real_now: datetime, limit: int
) -> list[tuple[str, int]]:
    """Accounts that were un-linked, that nothing needs any more, and of which the maker is yet to be told."""
    cursor = await connection.execute(
        f"SELECT id, generation FROM maker_account WHERE state = 'ending' AND (again_at IS NULL OR again_at <= %s) "
        f"AND (held_until IS NULL OR held_until <= %s) AND NOT {_IN_USE} ORDER BY id LIMIT %s".encode(),
        (real_now, real_now, limit),
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def end(
    connection: AsyncConnection, account_id: str, *, holder: str, is_revoked: bool, now: datetime
) -> None:
    """Ending -> ended: its tokens are destroyed, whether the maker has heard of it or not."""
    await connection.execute(
        "UPDATE maker_account SET state = 'ended', sealed = NULL, ended_at = %s, is_revoked = %s, held_by = NULL, "
        "held_until = NULL, again_at = NULL, spent_at = NULL, keep_alive_at = NULL "
        "WHERE id = %s AND held_by = %s AND state = 'ending'",
        (now, is_revoked, account_id, holder),
    )


# ---- a new secret key


async def list_sealed(connection: AsyncConnection, *, after: str, limit: int) -> list[tuple[str, bytes]]:
    """Accounts with tokens, from the first behind `after`."""
    cursor = await connection.execute(
        "SELECT id, sealed FROM maker_account WHERE id > %s AND sealed IS NOT NULL ORDER BY 1 LIMIT %s",
        (after, limit),
    )
    return [(row[0], bytes(row[1])) for row in await cursor.fetchall()]


async def replace_sealed(connection: AsyncConnection, account_id: str, *, was: bytes, sealed: bytes) -> None:
    """Seal tokens anew, unless they are others by now."""
    await connection.execute(
        "UPDATE maker_account SET sealed = %s WHERE id = %s AND sealed = %s", (sealed, account_id, was)
    )
