"""Who shares a place: its owner, and the members whom the owner has let in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

from unlatch.domain.household import Role

# Everyone of a place's household, the owner among them: for use in other statements, with %(place_id)s.
PEOPLE = """
    SELECT access_point.consignee_id FROM access_point WHERE access_point.id = %(place_id)s
    UNION SELECT member.consignee_id FROM member
    WHERE member.access_point_id = %(place_id)s AND member.left_at IS NULL
"""
# The places that a consignee owns or shares, with %(consignee_id)s.
PLACES = """
    SELECT access_point.id FROM access_point WHERE access_point.consignee_id = %(consignee_id)s
    UNION SELECT member.access_point_id FROM member
    WHERE member.consignee_id = %(consignee_id)s AND member.left_at IS NULL
"""
_LIST_PEOPLE = """
    -- The household with what each is to the place: the owner first, then the members as they joined.
    SELECT consignee.id, consignee.name, consignee.carrier_id, 'owner' AS role, NULL::timestamptz AS joined_at,
        true AS may_watch
    FROM access_point JOIN consignee ON consignee.id = access_point.consignee_id
    WHERE access_point.id = %(place_id)s
    UNION ALL
    SELECT consignee.id, consignee.name, consignee.carrier_id, 'member', joined_at, may_watch
    FROM member JOIN consignee ON consignee.id = member.consignee_id
    WHERE access_point_id = %(place_id)s AND left_at IS NULL
    ORDER BY joined_at NULLS FIRST, id
"""
_LIST_PLACES = f"""
    -- The places of a consignee, with what they are to each, oldest first.
    SELECT id, name, kind, blocked_at, is_frozen, time_zone,
        CASE WHEN consignee_id = %(consignee_id)s THEN 'owner' ELSE 'member' END AS role
    FROM access_point WHERE id IN ({PLACES}) ORDER BY id LIMIT %(limit)s
"""
_STILL_SEEN = """
    -- Of these pairs of a visit and a consignee, those where the visit is still at a place of theirs.
    SELECT pair.visit_id, pair.consignee_id
    FROM unnest(%s::text[], %s::text[]) AS pair (visit_id, consignee_id)
    JOIN visit ON visit.id = pair.visit_id
    JOIN access_point ON access_point.id = visit.access_point_id
    WHERE access_point.consignee_id = pair.consignee_id
       OR EXISTS (SELECT 1 FROM member WHERE member.access_point_id = access_point.id
                  AND member.consignee_id = pair.consignee_id AND left_at IS NULL)
"""
_USE_INVITATION = """
    -- A code lets one person in: of two at once, the second finds it used.
    UPDATE invitation SET used_by = %(consignee_id)s, used_at = %(at)s
    WHERE id = %(id)s AND used_at IS NULL AND expires_at > %(real_now)s RETURNING id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow:
    """One person of a household."""

    id: str
    name: str
    carrier_id: str
    role: Role
    joined_at: datetime | None  # None: the owner
    may_watch: bool  # of a member: the owner lets them see the cameras and clips


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPlaceRow:
    """A place, and what this consignee is to it."""

    id: str
    name: str
    kind: str
    blocked_at: datetime | None
    is_frozen: bool
    time_zone: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationRow:
    """An invitation, without its code. Its times are real times, but for `used_at`."""

    id: str
    access_point_id: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


_INVITATION = ", ".join(InvitationRow.__slots__)


async def is_of_household(connection: AsyncConnection, access_point_id: str, consignee_id: str) -> bool:
    """Whether this consignee owns or shares this place."""
    cursor = await connection.execute(
        f"SELECT 1 FROM ({PEOPLE}) people WHERE consignee_id = %(consignee_id)s".encode(),
        {"place_id": access_point_id, "consignee_id": consignee_id},
    )
    return await cursor.fetchone() is not None


async def list_people(connection: AsyncConnection, access_point_id: str) -> list[PersonRow]:
    """Everyone of a household, the owner first."""
    async with connection.cursor(row_factory=class_row(PersonRow)) as cursor:
        await cursor.execute(_LIST_PEOPLE, {"place_id": access_point_id})
        return await cursor.fetchall()


async def list_held_places(
    connection: AsyncConnection, consignee_id: str, *, limit: int = 100
) -> list[HeldPlaceRow]:
    """The places that this consignee owns or shares, oldest first."""
    async with connection.cursor(row_factory=class_row(HeldPlaceRow)) as cursor:
        await cursor.execute(_LIST_PLACES.encode(), {"consignee_id": consignee_id, "limit": limit})
        return await cursor.fetchall()


async def list_still_seen(
    connection: AsyncConnection, pairs: Collection[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Of these pairs (visit, consignee), those where the consignee is of the household at this moment."""
    wanted = list(pairs)
    cursor = await connection.execute(_STILL_SEEN, ([one for one, _ in wanted], [one for _, one in wanted]))
    return {(visit_id, consignee_id) for visit_id, consignee_id in await cursor.fetchall()}


async def list_names(connection: AsyncConnection, consignee_ids: Collection[str]) -> dict[str, str]:
    """What these consignees are called."""
    cursor = await connection.execute(
        "SELECT id, name FROM consignee WHERE id = ANY(%s)", (list(consignee_ids),)
    )
    return dict(await cursor.fetchall())


async def list_persons(
    connection: AsyncConnection, consignee_ids: Collection[str]
) -> dict[str, tuple[str, str]]:
    """Name and carrier of these consignees."""
    cursor = await connection.execute(
        "SELECT id, name, carrier_id FROM consignee WHERE id = ANY(%s)", (list(consignee_ids),)
    )
    return {row[0]: (row[1], row[2]) for row in await cursor.fetchall()}


async def insert_member(
    connection: AsyncConnection, access_point_id: str, consignee_id: str, at: datetime
) -> None:
    """One more member. The place's row must be locked."""
    await connection.execute(
        "INSERT INTO member (access_point_id, consignee_id, joined_at) VALUES (%s, %s, %s)",
        (access_point_id, consignee_id, at),
    )


async def end_member(
    connection: AsyncConnection, access_point_id: str, consignee_id: str, at: datetime
) -> datetime | None:
    """A member is none any more; when they had joined. None: they were no member. The place's row must be locked."""
    cursor = await connection.execute(
        "UPDATE member SET left_at = greatest(joined_at, %s) "
        "WHERE access_point_id = %s AND consignee_id = %s AND left_at IS NULL RETURNING joined_at",
        (at, access_point_id, consignee_id),
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def set_takes_over(
    connection: AsyncConnection, access_point_id: str, consignee_id: str, at: datetime | None
) -> bool:
    """A member agrees to be the owner one day, or does not; whether that is new. The place's row must be locked."""
    cursor = await connection.execute(
        "UPDATE member SET takes_over_at = %s WHERE access_point_id = %s AND consignee_id = %s AND left_at IS NULL "
        "AND (takes_over_at IS NULL) <> (%s::timestamptz IS NULL) RETURNING 1",
        (at, access_point_id, consignee_id, at),
    )
    return await cursor.fetchone() is not None


async def list_heirs(connection: AsyncConnection, owner_id: str) -> dict[str, str]:
    """By place of this owner: the member who has agreed to own it and whom its carrier knows; of several, the first."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (access_point.id) access_point.id, member.consignee_id FROM access_point "
        "JOIN member ON member.access_point_id = access_point.id AND member.left_at IS NULL "
        "JOIN consignee ON consignee.id = member.consignee_id AND consignee.carrier_id = access_point.carrier_id "
        "AND consignee.erased_at IS NULL "
        "WHERE access_point.consignee_id = %s AND member.takes_over_at IS NOT NULL "
        "ORDER BY access_point.id, member.takes_over_at, member.consignee_id",
        (owner_id,),
    )
    return dict(await cursor.fetchall())


async def set_owner(connection: AsyncConnection, access_point_id: str, consignee_id: str) -> None:
    """Another owner. The place's row must be locked."""
    await connection.execute(
        "UPDATE access_point SET consignee_id = %s WHERE id = %s", (consignee_id, access_point_id)
    )


async def insert_invitation(connection: AsyncConnection, row: InvitationRow, code_hash: bytes) -> None:
    """A new invitation."""
    await connection.execute(
        "INSERT INTO invitation (id, access_point_id, code_hash, created_at, expires_at) "
        "VALUES (%s, %s, %s, %s, %s)",
        (row.id, row.access_point_id, code_hash, row.created_at, row.expires_at),
    )


async def find_invitation(connection: AsyncConnection, code_hash: bytes) -> InvitationRow | None:
    """The invitation of this code, good or not."""
    async with connection.cursor(row_factory=class_row(InvitationRow)) as cursor:
        await cursor.execute(
            f"SELECT {_INVITATION} FROM invitation WHERE code_hash = %s".encode(), (code_hash,)
        )
        return await cursor.fetchone()


async def list_open_invitations(
    connection: AsyncConnection, access_point_id: str, real_now: datetime
) -> list[InvitationRow]:
    """The invitations to a place that still let someone in, oldest first."""
    async with connection.cursor(row_factory=class_row(InvitationRow)) as cursor:
        await cursor.execute(
            f"SELECT {_INVITATION} FROM invitation WHERE access_point_id = %s AND used_at IS NULL "
            "AND expires_at > %s ORDER BY id LIMIT 100".encode(),
            (access_point_id, real_now),
        )
        return await cursor.fetchall()


async def use_invitation(
    connection: AsyncConnection, invitation_id: str, *, consignee_id: str, at: datetime, real_now: datetime
) -> bool:
    """Use an invitation up; False where it is not good any more."""
    values = {"id": invitation_id, "consignee_id": consignee_id, "at": at, "real_now": real_now}
    cursor = await connection.execute(_USE_INVITATION, values)
    return await cursor.fetchone() is not None


async def end_invitation(
    connection: AsyncConnection, invitation_id: str, *, access_point_id: str, real_now: datetime
) -> bool:
    """End an open invitation to this place; False where there is none."""
    cursor = await connection.execute(
        "UPDATE invitation SET expires_at = %s WHERE id = %s AND access_point_id = %s AND used_at IS NULL "
        "AND expires_at > %s RETURNING id",
        (real_now, invitation_id, access_point_id, real_now),
    )
    return await cursor.fetchone() is not None


async def add_blocker(connection: AsyncConnection, access_point_id: str, consignee_id: str) -> None:
    """This consignee has blocked the place as well. Its row must be locked."""
    await connection.execute(
        "UPDATE access_point SET blocked_by = array_append(array_remove(blocked_by, %(one)s), %(one)s) "
        "WHERE id = %(place_id)s",
        {"one": consignee_id, "place_id": access_point_id},
    )


async def list_blockers(connection: AsyncConnection, access_point_id: str) -> list[str]:
    """Who has blocked the place since it was last free; nobody is known of a block from before that was noted."""
    cursor = await connection.execute("SELECT blocked_by FROM access_point WHERE id = %s", (access_point_id,))
    row = await cursor.fetchone()
    return [] if row is None else row[0]


async def clear_blockers(connection: AsyncConnection, access_point_id: str) -> None:
    """The place is free. Its row must be locked."""
    await connection.execute("UPDATE access_point SET blocked_by = '{}' WHERE id = %s", (access_point_id,))
