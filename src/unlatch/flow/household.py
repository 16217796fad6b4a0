"""Several people share a place: invite, join, leave, remove, hand over, and who of them may do what.

The right to a place rests on `domain/household.py`'s table alone. Whoever changes a household locks the place's row
first, as a scan, a block and the gate do: a removal that commits before a wish of the removed person refuses it.

A household may have people of several carriers: the owner's invitation is what lets someone in. No carrier learns
anything of another's: it sees its own visits and stops alone, and of a person whom it does not know, no name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection

from unlatch.domain.deed import Deed
from unlatch.domain.household import (
    INVITATION_LASTS_S,
    LINK_LASTS_S,
    MOST_MEMBERS,
    MOST_OPEN_INVITATIONS,
    Right,
    Role,
    may,
)
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.proof import text_of_time
from unlatch.errors import BadInput, Conflict, NotAllowed, NotFound
from unlatch.flow.enrolment import make_code, read_code
from unlatch.flow.notifying import tell
from unlatch.store import consignees, deeds, household, links
from unlatch.store.consignees import AccessPointRow
from unlatch.store.household import InvitationRow, PersonRow
from unlatch.store.ids import hash_key, make_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A place, and what the one who asks is to it."""

    point: AccessPointRow
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInvitation:
    """An invitation with its code, which is never shown again."""

    id: str
    code: str
    expires_at: datetime  # real time, as the code guards a door


def first_name(name: str) -> str:
    """What a person is called among people who share a place."""
    return (name.split() or ["?"])[0]


async def require(
    connection: AsyncConnection,
    access_point_id: str,
    consignee_id: str,
    right: Right,
    *,
    is_locked: bool = False,
) -> Standing:
    """What this person is to the place, if that gives them the right; its row locked if wanted.

    Raises NotFound where the place is none of theirs, NotAllowed where another role is needed.
    """
    point = await consignees.find_access_point(connection, access_point_id, is_locked=is_locked)
    if point is None or not await household.is_of_household(connection, access_point_id, consignee_id):
        raise NotFound("there is no such access point")
    role = Role.OWNER if point.consignee_id == consignee_id else Role.MEMBER
    if not may(role, right):
        raise NotAllowed(f"this is not for a place's {role}")
    return Standing(point=point, role=role)


async def require_unblock(connection: AsyncConnection, access_point_id: str, consignee_id: str) -> Standing:
    """The same for the end of a block: a member ends none that anyone else has put on the place."""
    standing = await require(connection, access_point_id, consignee_id, Right.UNBLOCK, is_locked=True)
    if may(standing.role, Right.UNBLOCK_OTHERS) or standing.point.blocked_at is None:
        return standing
    if set(await household.list_blockers(connection, access_point_id)) != {consignee_id}:
        raise NotAllowed("someone else has blocked this place: they or its owner may unblock it")
    return standing


async def invite(
    connection: AsyncConnection, access_point_id: str, *, consignee_id: str, now: datetime
) -> NewInvitation:
    """A code with which one person joins, within a day. Raises NotFound, NotAllowed, Conflict."""
    await require(connection, access_point_id, consignee_id, Right.INVITE, is_locked=True)
    real_now = datetime.now(UTC)
    if (
        len(await household.list_open_invitations(connection, access_point_id, real_now))
        >= MOST_OPEN_INVITATIONS
    ):
        raise Conflict(f"{MOST_OPEN_INVITATIONS} invitations are open: withdraw one, or wait until it ends")
    await _check_room(connection, access_point_id)
    code = make_code()
    row = InvitationRow(
        id=make_id("inv"),
        access_point_id=access_point_id,
        created_at=real_now,
        expires_at=real_now + timedelta(seconds=INVITATION_LASTS_S),
        used_at=None,
    )
    await household.insert_invitation(connection, row, hash_key(read_code(code)))
    await _write(connection, access_point_id, consignee_id, Deed.INVITED, now, invitation_id=row.id)
    return NewInvitation(id=row.id, code=code, expires_at=row.expires_at)


async def list_invitations(
    connection: AsyncConnection, access_point_id: str, *, consignee_id: str
) -> list[InvitationRow]:
    """The open invitations, without their codes. Raises NotFound, NotAllowed."""
    await require(connection, access_point_id, consignee_id, Right.INVITE)
    return await household.list_open_invitations(connection, access_point_id, datetime.now(UTC))


async def withdraw_invitation(
    connection: AsyncConnection, access_point_id: str, invitation_id: str, *, consignee_id: str, now: datetime
) -> None:
    """Its code lets nobody in any more. Raises NotFound, NotAllowed."""
    await require(connection, access_point_id, consignee_id, Right.INVITE, is_locked=True)
    is_ended = await household.end_invitation(
        connection, invitation_id, access_point_id=access_point_id, real_now=datetime.now(UTC)
    )
    if not is_ended:
        raise NotFound("there is no such open invitation")
    await _write(
        connection, access_point_id, consignee_id, Deed.INVITATION_WITHDRAWN, now, invitation_id=invitation_id
    )


async def join(connection: AsyncConnection, *, code: str, consignee_id: str, now: datetime) -> str:
    """Become a member by a code; the place's id. Raises BadInput, which tells nothing of a code, and Conflict."""
    refused = BadInput("code", "this code is not good or no longer: ask the place's owner for a new one")
    found = await household.find_invitation(connection, hash_key(read_code(code)))
    if found is None:
        raise refused
    place_id = found.access_point_id
    await consignees.find_access_point(connection, place_id, is_locked=True)
    # Only now, with the place locked, is anything of the household settled.
    people = await household.list_people(connection, place_id)
    known = next((person for person in people if person.id == consignee_id), None)
    real_now = datetime.now(UTC)
    if known is not None and found.used_at is None and found.expires_at > real_now:
        raise Conflict("you are of this household already")
    if not await household.use_invitation(
        connection, found.id, consignee_id=consignee_id, at=now, real_now=real_now
    ):
        raise refused
    _check_count(people)
    await household.insert_member(connection, place_id, consignee_id, now)
    await _write(connection, place_id, consignee_id, Deed.JOINED, now)
    await _tell(connection, NoticeEvent.MEMBER_JOINED, place_id, consignee_id, key=found.id, now=now)
    return place_id


async def list_household(
    connection: AsyncConnection, access_point_id: str, *, consignee_id: str
) -> list[PersonRow]:
    """Everyone of it, the owner first. Raises NotFound."""
    await require(connection, access_point_id, consignee_id, Right.SEE)
    return await household.list_people(connection, access_point_id)


async def leave(
    connection: AsyncConnection, access_point_id: str, *, consignee_id: str, now: datetime
) -> None:
    """A member goes. Raises NotFound, and NotAllowed for the owner, who hands the place over first."""
    await require(connection, access_point_id, consignee_id, Right.LEAVE, is_locked=True)
    joined_at = await household.end_member(connection, access_point_id, consignee_id, now)
    assert joined_at is not None  # a member, and the place is locked
    await links.end_link_of(connection, access_point_id, consignee_id=consignee_id, now=now)
    await _write(connection, access_point_id, consignee_id, Deed.LEFT, now)
    key = f"{access_point_id}/{consignee_id}/{joined_at.isoformat()}"
    await _tell(connection, NoticeEvent.MEMBER_LEFT, access_point_id, consignee_id, key=key, now=now)


async def agree_to_take_over(
    connection: AsyncConnection, access_point_id: str, *, consignee_id: str, agrees: bool, now: datetime
) -> None:
    """A member will be the owner when the owner is erased as a person, or will not. Raises NotFound, NotAllowed."""
    await require(connection, access_point_id, consignee_id, Right.TAKE_OVER, is_locked=True)
    if await household.set_takes_over(connection, access_point_id, consignee_id, now if agrees else None):
        deed = Deed.TAKE_OVER_AGREED if agrees else Deed.TAKE_OVER_DECLINED
        await _write(connection, access_point_id, consignee_id, deed, now)


async def remove(
    connection: AsyncConnection, access_point_id: str, *, member_id: str, consignee_id: str, now: datetime
) -> None:
    """The owner removes a member: from this commit on they see nothing more of the place. Raises NotFound, NotAllowed.

    The removed person is told as well, this once.
    """
    await require(connection, access_point_id, consignee_id, Right.REMOVE, is_locked=True)
    member = await _get_member(connection, access_point_id, member_id)
    key = f"{access_point_id}/{member_id}/{member.joined_at}"
    await _tell(connection, NoticeEvent.MEMBER_LEFT, access_point_id, member_id, key=key, now=now)
    await household.end_member(connection, access_point_id, member_id, now)
    await links.end_link_of(connection, access_point_id, consignee_id=member_id, now=now)
    await _write(connection, access_point_id, consignee_id, Deed.REMOVED, now, member_id=member_id)


async def hand_over(
    connection: AsyncConnection, access_point_id: str, *, member_id: str, consignee_id: str, now: datetime
) -> None:
    """A member becomes the owner, and the owner a member. Raises NotFound, NotAllowed, Conflict.

    The carrier of the place must know the new owner: its shipments are to them from now on. A car that is reached
    through an account of the former owner is so for a while yet; meanwhile the new owner links it through their own.
    """
    standing = await require(connection, access_point_id, consignee_id, Right.HAND_OVER, is_locked=True)
    member = await _get_member(connection, access_point_id, member_id)
    if member.carrier_id != standing.point.carrier_id:
        raise Conflict("this place's carrier does not know them: hand it to someone whom it knows")
    await household.end_member(connection, access_point_id, member_id, now)
    await household.set_owner(connection, access_point_id, member_id)
    await household.insert_member(connection, access_point_id, consignee_id, now)
    # Nobody joins a household whose owner did not invite them.
    for one in await household.list_open_invitations(connection, access_point_id, datetime.now(UTC)):
        await household.end_invitation(
            connection, one.id, access_point_id=access_point_id, real_now=datetime.now(UTC)
        )
    await _write(connection, access_point_id, consignee_id, Deed.OWNERSHIP_GIVEN, now, member_id=member_id)
    key = f"{access_point_id}/{member_id}/{now.isoformat()}"
    await _tell(connection, NoticeEvent.OWNER_CHANGED, access_point_id, member_id, key=key, now=now)
    link_ends_at = await links.set_link_end(
        connection, access_point_id, owner_id=member_id, ends_at=now + timedelta(seconds=LINK_LASTS_S)
    )
    if link_ends_at is not None:
        until = {"until": text_of_time(link_ends_at)}
        await _tell(
            connection, NoticeEvent.LINK_ENDING, access_point_id, member_id, key=key, now=now, more=until
        )


async def give_up(
    connection: AsyncConnection,
    access_point_id: str,
    *,
    consignee_id: str,
    heir_id: str | None,
    now: datetime,
) -> None:
    """The owner goes for good: to the member who has agreed to that, else without one, and the others go too.

    Whose place it is no more is told like any member who goes. Raises NotFound, NotAllowed, Conflict.
    """
    if heir_id is not None:
        await hand_over(connection, access_point_id, member_id=heir_id, consignee_id=consignee_id, now=now)
        await leave(connection, access_point_id, consignee_id=consignee_id, now=now)
        return
    await require(connection, access_point_id, consignee_id, Right.HAND_OVER, is_locked=True)
    for person in await household.list_people(connection, access_point_id):
        if person.role == Role.MEMBER:
            await remove(connection, access_point_id, member_id=person.id, consignee_id=consignee_id, now=now)
    real_now = datetime.now(UTC)
    for one in await household.list_open_invitations(connection, access_point_id, real_now):
        await household.end_invitation(connection, one.id, access_point_id=access_point_id, real_now=real_now)


async def _get_member(connection: AsyncConnection, access_point_id: str, member_id: str) -> PersonRow:
    people = await household.list_people(connection, access_point_id)
    member = next((one for one in people if one.id == member_id and one.role == Role.MEMBER), None)
    if member is None:
        raise NotFound("there is no such member")
    return member


async def _check_room(connection: AsyncConnection, access_point_id: str) -> None:
    _check_count(await household.list_people(connection, access_point_id))


def _check_count(people: list[PersonRow]) -> None:
    if len(people) > MOST_MEMBERS:  # the owner is none of them
        raise Conflict(f"this household has {MOST_MEMBERS} members, and takes no more")


async def _write(
    connection: AsyncConnection,
    access_point_id: str,
    consignee_id: str,
    what: Deed,
    now: datetime,
    **body: str,
) -> None:
    await deeds.insert_deed(
        connection,
        access_point_id=access_point_id,
        stop_id=None,
        who=f"consignee:{consignee_id}",
        what=what,
        body=body,
        at=now,
    )


async def _tell(
    connection: AsyncConnection,
    event: NoticeEvent,
    place_id: str,
    about_id: str,
    *,
    key: str,
    now: datetime,
    more: Mapping[str, str] | None = None,
) -> None:
    names = await household.list_names(connection, [about_id])
    point = await consignees.find_access_point(connection, place_id)
    assert point is not None  # its row is locked
    facts = {"who": first_name(names[about_id]), "place": point.name, **(more or {})}
    await tell(connection, event, place_id=place_id, key=key, now=now, facts=facts)
