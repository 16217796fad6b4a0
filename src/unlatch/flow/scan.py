"""The scan is the request: label and position in, a visit out, granted or refused with every reason.

If the last reading of the closure is too old to decide on, the visit waits in REQUESTED while a worker looks;
everything else is decided at once, in one transaction that holds the access point's row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from unlatch.domain.access import PlaceKind, Position
from unlatch.domain.decision import Decision, Situation, decide, must_look_first
from unlatch.domain.incident import Incident
from unlatch.domain.label import Label, LabelFault, Symbol, read_picture_label
from unlatch.domain.proof import Kind, text_of_time
from unlatch.domain.visit import Fact, State, Visit, begin
from unlatch.errors import NotFound
from unlatch.flow.carry_out import read_place
from unlatch.flow.filming import WANTED_FOR, await_camera
from unlatch.flow.platform import Platform
from unlatch.flow.record import Change, Happening, Line, chain, change_of, record_in, save_change
from unlatch.store import cameras, idempotency, journal, parcels, readings, visits
from unlatch.store.database import pipelined
from unlatch.store.idempotency import ClaimedKey
from unlatch.store.ids import make_id
from unlatch.store.situations import Doorstep, find_doorstep
from unlatch.store.visits import VisitRow

MICRODEGREES = 1_000_000
_WORTH_KNOWING_WHAT_IS_EXPECTED = frozenset(
    {LabelFault.AMBIGUOUS, LabelFault.SEVERAL_LABELS, LabelFault.TRUNCATED, LabelFault.FOREIGN}
)


# What is scanned later was not put in before it was closed.
TAKES_PARCELS = frozenset(
    {
        State.REQUESTED,
        State.RINGING,
        State.PROVING,
        State.GRANTED,
        State.UNLOCKING,
        State.IN_DOUBT,
        State.READY,
        State.UNLOCKED,
        State.OPEN,
        State.OPEN_LONG,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequest:
    """What the courier's phone sends from beside the car."""

    stop_id: str
    courier_id: str
    device_id: str
    symbols: Sequence[Symbol]  # all that the picture or the keyboard gave
    position: Position | None
    phone_at: datetime | None = None  # the phone's own clock: written down, never believed
    claimed: ClaimedKey | None = (
        None  # names the visit that it begins, the same each time this request is repeated
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """The visit that the scan led to, or what is wrong with the label (then there is no visit)."""

    row: VisitRow | None
    fault: LabelFault | None = None
    reasons: tuple[Incident, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """One request, with its label read."""

    request: ScanRequest
    label: Label
    now: datetime


def position_body(position: Position | None) -> dict[str, Any] | None:
    """A position as the journal holds it: whole numbers (microdegrees, metres)."""
    if position is None:
        return None
    return {
        "latitude_e6": round(position.latitude * MICRODEGREES),
        "longitude_e6": round(position.longitude * MICRODEGREES),
        "accuracy_m": round(position.accuracy_m),
    }


def position_of(body: dict[str, Any] | None) -> Position | None:
    """The position that the journal holds."""
    if body is None:
        return None
    return Position(
        latitude=body["latitude_e6"] / MICRODEGREES,
        longitude=body["longitude_e6"] / MICRODEGREES,
        accuracy_m=body["accuracy_m"],
    )


async def request_visit(platform: Platform, request: ScanRequest) -> ScanResult:
    """Decide on a scan. Raises NotFound where the courier's carrier has no such stop.

    Scanning again while one's own visit lives at this stop is no new request: it gives that visit. Nor is a request
    whose answer was lost: it gives the visit that it began, though that may be over.
    """
    label = read_picture_label(request.symbols)
    if label in _WORTH_KNOWING_WHAT_IS_EXPECTED:
        async with platform.database.connection() as connection:
            expected_keys = await parcels.list_label_keys(connection, request.stop_id)
        label = read_picture_label(request.symbols, expected_keys=expected_keys)
    if isinstance(label, LabelFault):
        return ScanResult(row=None, fault=label)
    for _ in range(3):
        try:
            async with platform.database.pipelined_transaction() as connection:
                return await _request(platform, connection, request, label)
        except UniqueViolation as error:
            if request.claimed is None or error.diag.constraint_name != "visit_pkey":
                continue  # S6: another visit began at this very moment; now it is seen
            async with platform.database.connection() as connection:
                return ScanResult(row=await visits.get_visit(connection, request.claimed.makes))
    return ScanResult(row=None, reasons=(Incident.PLATFORM_PLACE_BUSY,))


async def _request(
    platform: Platform, connection: AsyncConnection, request: ScanRequest, label: Label
) -> ScanResult:
    door = await _find_door(connection, request, label.key, platform.clock.now())
    if door is None:
        raise NotFound("there is no such stop")
    now = platform.clock.now()  # only now: it may have waited for the place
    asking = _Asking(request=request, label=label, now=now)
    situation = _situation(platform, door, request.position, now)
    if door.live_visit_id is not None and situation.is_parcel_of_stop:
        row = await visits.lock_visit(connection, door.live_visit_id)
        if row.stop_id == request.stop_id:  # the same scan again, or another parcel of the same stop
            if situation.is_parcel_with_carrier and row.visit.state in TAKES_PARCELS:
                row = await _add_parcel(connection, row, door.row["parcel_id"], asking)
            if request.claimed is not None:
                await idempotency.note_made(connection, request.claimed, row.id)
            return ScanResult(row=row)
    decision = decide(situation)
    is_home = situation.kind is PlaceKind.HOME
    visit, orders = begin(situation.closure, is_recorded=is_home, rings_first=door.rings_first(now), now=now)
    if is_home:
        await cameras.want(connection, door.place.access_point_id, datetime.now(UTC) + WANTED_FOR)
    row, first_entry = chain(_row(door, request, visit, now), _scanned(asking), now)
    change: Change | None = Change(before=visit, after=row, orders=orders, entries=())
    if not must_look_first(situation, decision):
        change = change_of(row, _decided(decision), now)
    assert change is not None  # only a reading can change nothing
    change = replace(change, entries=(first_entry, *change.entries))
    async with pipelined(connection):
        await visits.insert_visit(connection, change.after)
        if situation.is_parcel_of_stop:
            await parcels.insert_visit_parcel(connection, row.id, door.row["parcel_id"])
        await save_change(connection, change, now)
    return ScanResult(row=change.after, reasons=() if change.orders is orders else decision.reasons)


async def _add_parcel(
    connection: AsyncConnection, row: VisitRow, parcel_id: str, asking: _Asking
) -> VisitRow:
    """One more parcel for a visit that was begun with another: its label stands in the journal too (A1)."""
    if await parcels.has_visit_parcel(connection, row.id, parcel_id):
        return row
    row, (entry, private) = chain(row, _scanned(asking), asking.now)
    async with pipelined(connection):
        await parcels.insert_visit_parcel(connection, row.id, parcel_id)
        await visits.update_visit(connection, row)
        await journal.append_entry(connection, entry, private)
    return row


async def decide_after_look(platform: Platform, visit_id: str) -> None:
    """The worker's part of a scan that found no fresh reading: look, then decide. Safe to call again."""
    async with platform.database.connection() as connection:
        row = await visits.get_visit(connection, visit_id)
        place = await readings.find_place(connection, row.access_point_id)
    if row.visit.state is not State.REQUESTED or place is None:
        return
    if row.visit.is_recorded:
        await asyncio.gather(read_place(platform, place), await_camera(platform, place.access_point_id))
    else:
        await read_place(platform, place)
    async with platform.database.pipelined_transaction() as connection:
        asked = await journal.get_first_entry(connection, visit_id)
        body = asked.private.body if asked.private else {}
        request = ScanRequest(
            stop_id=row.stop_id,
            courier_id=row.courier_id,
            device_id=body.get("device_id", ""),
            symbols=(),
            position=position_of(body.get("position")),
        )
        door = await _find_door(connection, request, asked.entry.body["label"], platform.clock.now())
        row = await visits.lock_visit(connection, visit_id)
        now = platform.clock.now()
        is_over = row.visit.deadline_at is not None and now >= row.visit.deadline_at
        if row.visit.state is not State.REQUESTED or is_over or door is None:
            return  # decided already, or asked too long ago: then the clock's fact is on its way
        situation = _situation(platform, door, request.position, now, own_visit_id=visit_id)
        await record_in(connection, row, _decided(decide(situation)), now)


async def _find_door(
    connection: AsyncConnection, request: ScanRequest, label_key: str, now: datetime
) -> Doorstep | None:
    return await find_doorstep(
        connection,
        stop_id=request.stop_id,
        courier_id=request.courier_id,
        device_id=request.device_id,
        label_key=label_key,
        now=now,
    )


def _situation(
    platform: Platform,
    door: Doorstep,
    position: Position | None,
    now: datetime,
    own_visit_id: str | None = None,
) -> Situation:
    maker, car = platform.car_at(door.place)
    return door.situation(
        now=now,
        closure=maker.closure(car),
        position=position,
        obstacle=platform.find_obstacle(maker, car),
        own_visit_id=own_visit_id,
    )


def _row(door: Doorstep, request: ScanRequest, visit: Visit, now: datetime) -> VisitRow:
    return VisitRow(
        id=make_id("vis") if request.claimed is None else request.claimed.makes,
        stop_id=request.stop_id,
        access_point_id=door.place.access_point_id,
        courier_id=request.courier_id,
        carrier_id=door.row["carrier_id"],
        closure_key=door.row["closure_key"],
        visit=visit,
        incident=None,
        begun_at=now,
        ended_at=None,
        last_observed_at=door.row["observed_at"],
        last_command_at=None,
        next_read_at=None,
        journal_number=0,
        journal_hash=None,
        journal_at=None,
    )


def _scanned(asking: _Asking) -> Line:
    request = asking.request
    body: dict[str, Any] = {"label": asking.label.key, "label_kind": asking.label.kind.value}
    if request.phone_at is not None:
        body["phone_at"] = text_of_time(request.phone_at)
    private = {"position": position_body(request.position), "device_id": request.device_id}
    return Line(
        name="scanned", who=f"courier:{request.courier_id}", kind=Kind.NOTE, body=body, private=private
    )


def _decided(decision: Decision) -> Happening:
    """The decision as a fact of the visit, with every check's name and every reason (A1)."""
    body = {
        "policy_version": decision.policy_version,
        "checks": len(decision.checks),
        "reasons": [reason.value for reason in decision.reasons],
    }
    return Happening(
        fact=Fact.GRANTED if decision.is_granted else Fact.DENIED,
        who="platform",
        kind=Kind.DECISION,
        body=body,
        incident=decision.reasons[0] if decision.reasons else None,
    )
