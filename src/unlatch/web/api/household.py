"""What the people of a household ask: who shares this place, let someone in, go."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from msgspec import Meta, Struct
from psycopg import AsyncConnection

from unlatch.domain.household import Right, Role, may, may_watch
from unlatch.flow import household, viewing
from unlatch.store import links
from unlatch.store.household import InvitationRow, PersonRow
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import ProblemError, Trouble
from unlatch.web.shapes import Identifier, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("household", "For the people who share a place: Bearer with a consignee's key.")
CONSIGNEE = (Reader.CONSIGNEE,)
TRY_AGAIN_S = 60


class Person(Struct, kw_only=True):
    """One person of the household."""

    id: Identifier
    name: str
    role: Role
    since: Annotated[Moment | None, Meta(description="When they joined; null for the owner")]
    is_you: bool
    may_watch: Annotated[bool, Meta(description="See the cameras live, and the clips")]


class Household(Struct, kw_only=True):
    """Everyone who shares this place, the owner first, and what you may do with it."""

    access_point_id: Identifier
    people: list[Person]
    your_rights: Annotated[list[Right], Meta(description="See the table in the manual")]
    link_ends_at: Annotated[
        Moment | None,
        Meta(
            description="Until then the account of an owner of before reaches the car: link it through your own"
        ),
    ]


class InvitationShown(Struct, kw_only=True):
    """An invitation that lets one person in. Its code was shown once, when it was made."""

    id: Identifier
    created_at: Moment
    expires_at: Moment


class Invitations(Struct, kw_only=True):
    """Open invitations, oldest first."""

    invitations: list[InvitationShown]


class InvitationMade(Struct, kw_only=True):
    """A new invitation. Hand the code to the person whom you let in."""

    id: Identifier
    code: Annotated[str, Meta(description="Shown this once", examples=["7KQ2M-XX4PA-9TGHC-BZ3RW"])]
    expires_at: Annotated[Moment, Meta(description="A day from now")]


class InvitationWithdrawn(Struct, kw_only=True):
    """The code lets nobody in any more."""

    id: Identifier
    is_withdrawn: bool


class HouseholdLeft(Struct, kw_only=True):
    """The place is no longer yours."""

    access_point_id: Identifier
    has_left: bool


class JoinBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """The code that the owner gave you."""

    code: Annotated[
        str,
        Meta(
            min_length=20,
            max_length=40,
            pattern=r"^[A-Za-z0-9 -]*$",
            description="Capitals, hyphens and spaces do not matter",
        ),
    ]


class HandOverBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who is the owner from now on."""

    consignee_id: Annotated[Identifier, Meta(description="A member of the household")]


class OwningBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whether you would own the place."""

    agrees: bool


class WatchingBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whether this member may watch."""

    may_watch: bool


# What several endpoints have in common.
_changed = partial(
    TABLE.add,
    "POST",
    readers=CONSIGNEE,
    gives=Household,
    repeat=Repeat.IN_TRANSACTION,
)
_read = partial(
    TABLE.add,
    "GET",
    readers=CONSIGNEE,
    troubles=(Trouble.NOT_FOUND,),
)


def _show_person(row: PersonRow, asker_id: str) -> Person:
    return Person(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        since=row.joined_at,
        is_you=row.id == asker_id,
        may_watch=may_watch(Role(row.role), is_let=row.may_watch),
    )


async def _read_household(connection: AsyncConnection, place_id: str, asker_id: str) -> Household:
    people = await household.list_household(connection, place_id, consignee_id=asker_id)
    shown = [_show_person(row, asker_id) for row in people]
    you = next(person for person in shown if person.is_you)
    return Household(
        access_point_id=place_id,
        people=shown,
        your_rights=[
            right for right in Right if may(you.role, right) or (right is Right.WATCH and you.may_watch)
        ],
        link_ends_at=await links.find_link_end(connection, place_id),
    )


def _show_invitation(row: InvitationRow) -> InvitationShown:
    return InvitationShown(id=row.id, created_at=row.created_at, expires_at=row.expires_at)


@_read(
    "/v1/me/access_points/{access_point_id}/household",
    summary="Who shares this place",
    gives=Household,
)
async def read_household(asked: Asked[None]) -> Household:
    """Everyone of the household by name and role, for each of them."""
    place_id = asked.path["access_point_id"]
    async with asked.platform.database.connection() as connection:
        return await _read_household(connection, place_id, asked.asker.id)


@TABLE.add(
    "POST",
    "/v1/me/access_points/{access_point_id}/invitations",
    readers=CONSIGNEE,
    widens=True,
    summary="Invite someone to share this place",
    gives=InvitationMade,
    status=201,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def invite_to_household(asked: Asked[None]) -> InvitationMade:
    """The owner lets one person in, with a code that works once and for a day. At most 5 are open, and a household
    has at most 10 members.
    """
    made = await household.invite(
        asked.connection,
        asked.path["access_point_id"],
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return InvitationMade(id=made.id, code=made.code, expires_at=made.expires_at)


@_read(
    "/v1/me/access_points/{access_point_id}/invitations",
    summary="Open invitations",
    gives=Invitations,
)
async def list_invitations(asked: Asked[None]) -> Invitations:
    """For the owner: the invitations that nobody has used yet. Their codes are not shown again."""
    async with asked.platform.database.connection() as connection:
        rows = await household.list_invitations(
            connection, asked.path["access_point_id"], consignee_id=asked.asker.id
        )
    return Invitations(invitations=[_show_invitation(row) for row in rows])


@TABLE.add(
    "DELETE",
    "/v1/me/access_points/{access_point_id}/invitations/{invitation_id}",
    readers=CONSIGNEE,
    summary="Withdraw an invitation",
    gives=InvitationWithdrawn,
    troubles=(Trouble.NOT_FOUND,),
)
async def withdraw_invitation(asked: Asked[None]) -> InvitationWithdrawn:
    """Its code lets nobody in any more."""
    invitation_id = asked.path["invitation_id"]
    async with asked.platform.database.transaction() as connection:
        await household.withdraw_invitation(
            connection,
            asked.path["access_point_id"],
            invitation_id,
            consignee_id=asked.asker.id,
            now=asked.platform.clock.now(),
        )
    return InvitationWithdrawn(id=invitation_id, is_withdrawn=True)


@_changed(
    "/v1/me/households/join",
    widens=True,
    summary="Join a household",
    takes=JoinBody,
    status=201,
    troubles=(Trouble.CONFLICT, Trouble.TOO_MANY),
    examples=({"code": "7KQ2M-XX4PA-9TGHC-BZ3RW"},),
)
async def join_household(asked: Asked[JoinBody]) -> Household:
    """Share the place that this code is for. A code that is not good tells nothing; after ten tries, one a minute."""
    if not asked.platform.joining.lets_through(asked.asker.id):
        raise ProblemError(
            Trouble.TOO_MANY, "too many codes: try again later", headers={"Retry-After": str(TRY_AGAIN_S)}
        )
    place_id = await household.join(
        asked.connection,
        code=asked.body.code,
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return await _read_household(asked.connection, place_id, asked.asker.id)


@TABLE.add(
    "POST",
    "/v1/me/access_points/{access_point_id}/leave",
    readers=CONSIGNEE,
    summary="Leave a household",
    gives=HouseholdLeft,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
)
async def leave_household(asked: Asked[None]) -> HouseholdLeft:
    """A member goes: the place, its visits and its notices are no longer theirs. The owner hands it over first."""
    place_id = asked.path["access_point_id"]
    await household.leave(
        asked.connection, place_id, consignee_id=asked.asker.id, now=asked.platform.clock.now()
    )
    return HouseholdLeft(access_point_id=place_id, has_left=True)


@_changed(
    "/v1/me/access_points/{access_point_id}/members/{consignee_id}/remove",
    summary="Remove a member",
    troubles=(Trouble.NOT_FOUND,),
)
async def remove_member(asked: Asked[None]) -> Household:
    """The owner removes a member, who sees nothing more of the place from then on. They are told."""
    place_id = asked.path["access_point_id"]
    await household.remove(
        asked.connection,
        place_id,
        member_id=asked.path["consignee_id"],
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return await _read_household(asked.connection, place_id, asked.asker.id)


@_changed(
    "/v1/me/access_points/{access_point_id}/members/{consignee_id}/watching",
    widens=True,
    summary="Let a member watch, or no more",
    takes=WatchingBody,
    troubles=(Trouble.NOT_FOUND,),
    examples=({"may_watch": True},),
)
async def let_member_watch(asked: Asked[WatchingBody]) -> Household:
    """The owner lets a member see the cameras live and the clips, or ends that: a stream that is open ends within ten
    seconds.
    """
    place_id = asked.path["access_point_id"]
    await viewing.let_watch(
        asked.connection,
        place_id,
        member_id=asked.path["consignee_id"],
        consignee_id=asked.asker.id,
        is_let=asked.body.may_watch,
        now=asked.platform.clock.now(),
    )
    return await _read_household(asked.connection, place_id, asked.asker.id)


@_changed(
    "/v1/me/access_points/{access_point_id}/owner",
    widens=True,
    summary="Hand the ownership over",
    takes=HandOverBody,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def hand_over_place(asked: Asked[HandOverBody]) -> Household:
    """A member becomes the owner and you a member. Only to someone whom the place's carrier knows. Open invitations
    end. A car that is reached through an account of yours is so for seven days more: the new owner links it meanwhile.
    """
    place_id = asked.path["access_point_id"]
    await household.hand_over(
        asked.connection,
        place_id,
        member_id=asked.body.consignee_id,
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return await _read_household(asked.connection, place_id, asked.asker.id)


@_changed(
    "/v1/me/access_points/{access_point_id}/take_over",
    widens=True,
    summary="Agree to own the place when its owner is erased",
    takes=OwningBody,
    troubles=(Trouble.NOT_FOUND,),
)
async def agree_to_take_over(asked: Asked[OwningBody]) -> Household:
    """For a member: when the owner is erased as a person, the place is handed to the first member who has agreed to
    that and whom its carrier knows. Without one it closes. Take it back at any moment before.
    """
    place_id = asked.path["access_point_id"]
    await household.agree_to_take_over(
        asked.connection,
        place_id,
        consignee_id=asked.asker.id,
        agrees=asked.body.agrees,
        now=asked.platform.clock.now(),
    )
    return await _read_household(asked.connection, place_id, asked.asker.id)
