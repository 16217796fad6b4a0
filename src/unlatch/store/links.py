"""Which car hangs on which account of its owner at its maker, and until when after a hand-over of its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedPlace:
    """A place whose car hangs on an account."""

    access_point_id: str
    sealed: bytes  # of the vehicle: its VIN
    closure_key: bytes | None


_SET_LINK_END = """
    -- Of a car that hangs on an account: the new owner's own stays, another's ends, and no later than it would have.
    UPDATE vehicle SET link_ends_at = CASE WHEN maker_account.consignee_id <> %(owner_id)s
        THEN coalesce(link_ends_at, %(ends_at)s) END
    FROM maker_account WHERE maker_account.id = vehicle.account_id AND access_point_id = %(place_id)s
    RETURNING link_ends_at
"""
_END_LINK_OF = """
    UPDATE vehicle SET link_ends_at = %(now)s
    FROM maker_account WHERE maker_account.id = vehicle.account_id AND access_point_id = %(place_id)s
        AND maker_account.consignee_id = %(consignee_id)s
"""
_LIST_LINKS_DUE = """
    -- Cars whose link ends now: none that is visited, or whose lock is still watched.
    SELECT access_point_id FROM vehicle
    WHERE link_ends_at <= %(now)s AND (%(place_id)s::text IS NULL OR access_point_id = %(place_id)s)
        AND NOT EXISTS (SELECT 1 FROM visit WHERE visit.access_point_id = vehicle.access_point_id
            AND (ended_at IS NULL OR tail IN ('watching', 'alarm', 'blind')))
    ORDER BY link_ends_at LIMIT %(limit)s
"""


async def hang_car(
    connection: AsyncConnection,
    access_point_id: str,
    *,
    account_id: str,
    account_kind: str | None,
    sealed: bytes,
    closure_key: bytes,
    powers: Iterable[str] | None,
    has_service: bool | None,
) -> None:
    """From now on this place's car is reached through this account."""
    await connection.execute(
        "UPDATE vehicle SET account_id = %s, account_kind = %s, sealed = %s, closure_key = %s, powers = %s, "
        "has_service = %s, link_ends_at = NULL WHERE access_point_id = %s",
        (
            account_id,
            account_kind,
            sealed,
            closure_key,
            None if powers is None else sorted(powers),
            has_service,
            access_point_id,
        ),
    )


async def set_consent(connection: AsyncConnection, access_point_id: str, *, is_given: bool) -> None:
    """The owner's consent for a place. Its row must be locked by this transaction."""
    await connection.execute(
        "UPDATE access_point SET is_consent_given = %s WHERE id = %s", (is_given, access_point_id)
    )


async def list_places(connection: AsyncConnection, account_id: str) -> list[LinkedPlace]:
    """The places whose cars hang on this account, in the order in which their rows are to be locked."""
    async with connection.cursor(row_factory=class_row(LinkedPlace)) as cursor:
        await cursor.execute(
            "SELECT access_point_id, sealed, closure_key FROM vehicle WHERE account_id = %s ORDER BY 1 LIMIT 1000",
            (account_id,),
        )
        return await cursor.fetchall()


# ---- a place that gets another owner


async def set_link_end(
    connection: AsyncConnection, access_point_id: str, *, owner_id: str, ends_at: datetime
) -> datetime | None:
    """A place is handed to this owner: until when its car's link goes on; None: for good. Its row must be locked."""
    values = {"place_id": access_point_id, "owner_id": owner_id, "ends_at": ends_at}
    row = await (await connection.execute(_SET_LINK_END, values)).fetchone()
    return None if row is None else row[0]


async def find_link_end(connection: AsyncConnection, access_point_id: str) -> datetime | None:
    """When the link of this place's car ends; None: it goes on, or there is none."""
    cursor = await connection.execute(
        "SELECT link_ends_at FROM vehicle WHERE access_point_id = %s", (access_point_id,)
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def end_link_of(
    connection: AsyncConnection, access_point_id: str, *, consignee_id: str, now: datetime
) -> None:
    """This person goes: a car that is reached through an account of theirs is so no more. The place must be locked."""
    values = {"place_id": access_point_id, "consignee_id": consignee_id, "now": now}
    await connection.execute(_END_LINK_OF, values)


async def list_links_due(
    connection: AsyncConnection, *, now: datetime, access_point_id: str | None = None, limit: int = 1
) -> list[str]:
    """The places whose links are to end now, the longest overdue first; or this one, if it is one of them."""
    values = {"now": now, "place_id": access_point_id, "limit": limit}
    cursor = await connection.execute(_LIST_LINKS_DUE, values)
    return [row[0] for row in await cursor.fetchall()]


async def unhang_car(connection: AsyncConnection, access_point_id: str) -> None:
    """This place's car is reached through no account any more. Its row must be locked."""
    await connection.execute(
        "UPDATE vehicle SET account_id = NULL, link_ends_at = NULL, powers = NULL, has_service = NULL "
        "WHERE access_point_id = %s",
        (access_point_id,),
    )
