"""How people and phones come in: keys are made here, shown once, and kept as a hash."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection

from unlatch.domain.eligibility import DEFAULT_PROGRAMME
from unlatch.errors import BadInput, NotFound
from unlatch.flow.platform import Platform
from unlatch.store import carriers, couriers
from unlatch.store.couriers import CourierRow
from unlatch.store.ids import hash_key, make_id, make_key

CARRIER_KEY = "unlatch_carrier"
OPERATOR_KEY = "unlatch_operator"
CONSIGNEE_KEY = "unlatch_consignee"
PHONE_TOKEN = "unlatch_phone"  # noqa: S105 - the word in front of every such token
CODE_LASTS_S = 900.0
# 32 letters that nobody confuses; 20 of them are 100 bits.
_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_CODE_LENGTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A new party and its key, which is never shown again."""

    id: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A phone's place, and the code that enrols it once."""

    device_id: str
    code: str
    expires_at: datetime  # real time, as the code guards a key


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledPhone:
    """An enrolled phone and its token, which is never shown again and works with the phone's key alone."""

    device_id: str
    courier_id: str
    first_name: str
    token: str


def make_code() -> str:
    """A code of 100 random bits, to be read out and typed: four groups of five letters and digits."""
    letters = "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))
    return "-".join(letters[at : at + 5] for at in range(0, _CODE_LENGTH, 5))


def read_code(typed: str) -> str:
    """A code as it was made, however it was typed; of this its hash is kept."""
    return typed.upper().replace("-", "").replace(" ", "")


async def admit_carrier(platform: Platform, name: str, programme: str | None = None) -> Admitted:
    """A new carrier with a key for its back end. Raises BadInput for a programme that is not among the rules."""
    if programme is not None:
        known = (await platform.rules.get()).programmes
        if programme not in known:
            raise BadInput("programme", f"must be one of {', '.join(sorted(known))}")
    admitted = Admitted(id=make_id("car"), key=make_key(CARRIER_KEY))
    async with platform.database.connection() as connection:
        await carriers.insert_carrier(
            connection,
            admitted.id,
            name=name,
            programme=programme or DEFAULT_PROGRAMME,
            key_hash=hash_key(admitted.key),
            at=platform.clock.now(),
        )
    return admitted


async def admit_operator(platform: Platform, name: str) -> Admitted:
    """One more of the platform's own people. They can lock, freeze, rule and call, and never unlock (S8)."""
    admitted = Admitted(id=make_id("ope"), key=make_key(OPERATOR_KEY))
    async with platform.database.connection() as connection:
        await carriers.insert_operator(
            connection,
            admitted.id,
            name=name,
            key_hash=hash_key(admitted.key),
            at=platform.clock.now(),
        )
    return admitted


async def register_courier(
    connection: AsyncConnection, *, carrier_id: str, first_name: str, now: datetime
) -> CourierRow:
    """A new courier of a carrier."""
    row = CourierRow(
        id=make_id("cou"), carrier_id=carrier_id, first_name=first_name, is_active=True, created_at=now
    )
    await couriers.insert_courier(connection, row)
    return row


async def get_courier(connection: AsyncConnection, courier_id: str, *, carrier_id: str) -> CourierRow:
    """A courier of this carrier. Raises NotFound."""
    row = await couriers.find_courier(connection, courier_id, carrier_id=carrier_id)
    if row is None:
        raise NotFound("there is no such courier")
    return row


async def get_active_courier(connection: AsyncConnection, courier_id: str, *, carrier_id: str) -> CourierRow:
    """A courier of this carrier who may be given a stop. Raises NotFound, BadInput."""
    row = await get_courier(connection, courier_id, carrier_id=carrier_id)
    if not row.is_active:
        raise BadInput("courier_id", "this courier is not active")
    return row


async def invite_phone(
    connection: AsyncConnection, courier_id: str, *, carrier_id: str, now: datetime
) -> Invitation:
    """A one-time code for a phone of this courier. Raises NotFound."""
    await get_courier(connection, courier_id, carrier_id=carrier_id)
    invitation = Invitation(
        device_id=make_id("dev"),
        code=make_code(),
        expires_at=datetime.now(UTC) + timedelta(seconds=CODE_LASTS_S),
    )
    await couriers.insert_device(
        connection,
        invitation.device_id,
        courier_id=courier_id,
        code_hash=hash_key(read_code(invitation.code)),
        code_expires_at=invitation.expires_at,
        at=now,
    )
    return invitation


async def enrol_phone(
    connection: AsyncConnection, *, code: str, thumbprint: str, now: datetime
) -> EnrolledPhone:
    """Bind a phone to the key that it has proven. Raises BadInput where the code is not good (any more)."""
    token = make_key(PHONE_TOKEN)
    enrolled = await couriers.enrol_device(
        connection,
        code_hash=hash_key(read_code(code)),
        thumbprint=thumbprint,
        token_hash=hash_key(token),
        at=now,
        real_now=datetime.now(UTC),
    )
    if enrolled is None:
        raise BadInput("code", "this code is not good or no longer: ask your carrier for a new one")
    return EnrolledPhone(
        device_id=enrolled.id, courier_id=enrolled.courier_id, first_name=enrolled.first_name, token=token
    )


async def revoke_phone(
    connection: AsyncConnection, device_id: str, *, carrier_id: str, now: datetime
) -> None:
    """End a phone's access at once and for good; again is no error. Raises NotFound."""
    if not await couriers.revoke_device(connection, device_id, carrier_id=carrier_id, at=now):
        raise NotFound("there is no such device")


async def set_courier_active(
    connection: AsyncConnection, courier_id: str, *, carrier_id: str, is_active: bool
) -> CourierRow:
    """Let a courier deliver, or no longer. Raises NotFound."""
    await couriers.set_courier_active(connection, courier_id, carrier_id=carrier_id, is_active=is_active)
    return await get_courier(connection, courier_id, carrier_id=carrier_id)
