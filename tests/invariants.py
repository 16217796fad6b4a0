"""What must hold of every visit, whatever was done to it: three ledgers laid beside each other.

What the platform believes (rows), what it wrote down (journal), and what really happened (the town's ledger: what
the clouds were asked, what the cars did). Used by every test that drives the real flow, in process or over HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from unlatch.domain.decision import GRANT_MAX_AGE_S
from unlatch.domain.proof import Signer, export_proof, time_of_text
from unlatch.domain.verification import verify
from unlatch.domain.visit import SECURE_WITHIN_S, State, Tail
from unlatch.store import journal
from unlatch.store.database import Database
from unlatch.store.visits import VisitRow, visit_row
from unlatch.town.client import TownClient
from unlatch.town.ledger import LedgerRow

# How late this machine may be, in real seconds: two cores that other tests share. Never used where the platform
# itself promises real time (the first byte), only where the ledger is written later than the thing it tells of.
SLOW_MACHINE_S = 2.0
FIRST_BYTE_S = 2.0  # S1
LOCK_AFTER_BLOCK_S = 2.0  # S4
STAMP_STEP = timedelta(milliseconds=1)  # the clouds tell whole milliseconds

PROOF_FRESH_S = 5.0  # S3
GAP_ALLOWED_S = 10.0  # S3: from the gate until it is seen locked, a longer one is an alarm
UNLOCKS = frozenset({"unlockTrunk", "unlock", "open", "open_cover"})
LOCKS = frozenset({"lockTrunk", "lock", "close_cover"})
INSIDE = frozenset({State.DELIVERED, State.DELIVERED_LOCK_NOT_SEEN, State.RULED_DELIVERED})
WITH_COURIER = frozenset(
    {State.UNDELIVERED, State.UNDELIVERED_LOCK_NOT_SEEN, State.RULED_UNDELIVERED, State.REFUSED}
)
SEEN_ENDS = frozenset({State.DELIVERED, State.UNDELIVERED})


class Broken(AssertionError):
    """An invariant does not hold; its name of `protocol.md` stands first."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """One visit as the platform has it."""

    row: VisitRow
    grants: Sequence[dict[str, Any]]
    commands: Sequence[dict[str, Any]]
    calls: Sequence[dict[str, Any]]
    parcels: Sequence[dict[str, Any]]
    entries: Sequence[journal.KeptEntry]

    def entries_named(self, *names: str) -> list[journal.KeptEntry]:
        return [kept for kept in self.entries if kept.entry.name in names]

    def story(self) -> str:
        """The journal, for a person."""
        lines = (
            f"{kept.entry.at:%H:%M:%S.%f} {kept.entry.name:22} {kept.entry.who:28} {kept.entry.body}"
            for kept in self.entries
        )
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Physical:
    """What was so, by the town's ledger."""

    is_locked: bool
    is_open: bool


async def _rows(connection: AsyncConnection, query: str, *values: Any) -> list[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query.encode(), values)
        return await cursor.fetchall()


async def read_told(connection: AsyncConnection, visit_id: str) -> Told:
    """All that the platform has of a visit."""
    rows = await _rows(connection, "SELECT * FROM visit WHERE id = %s", visit_id)
    of_visit = "WHERE visit_id = %s"
    return Told(
        row=visit_row(rows[0]),
        grants=await _rows(connection, f"SELECT * FROM grant_ {of_visit}", visit_id),
        commands=await _rows(connection, f"SELECT * FROM command {of_visit} ORDER BY created_at", visit_id),
        calls=await _rows(connection, f"SELECT * FROM call {of_visit}", visit_id),
        parcels=await _rows(
            connection,
            "SELECT * FROM parcel WHERE id IN (SELECT parcel_id FROM visit_parcel WHERE visit_id = %s)",
            visit_id,
        ),
        entries=await journal.list_entries(connection, visit_id, limit=20_000),
    )


async def check_place(
    database: Database,
    town: TownClient,
    *,
    place_id: str,
    vin: str,
    factor: float,
    is_home: bool = False,
    skew_s: float = 0.0,
    seen_late_s: float = 0.0,
    struck: Sequence[tuple[datetime, datetime]] = (),
) -> list[Told]:
    """Everything, of every visit at this place so far. `factor`: town seconds in a real one. Raises Broken.

    `is_home`: then `vin` is its name in the town. `skew_s`: by how much a worker's clock may be wrong, in town seconds.
    `seen_late_s`: how much later than it left a first byte may have been noted, in real seconds.
    `struck`: from when to when something that carries a lock was broken on purpose, and nobody had taken over yet.
    """
    ledger = await town.whole_ledger(vin=vin)
    is_secured = (await town.home(vin) if is_home else await town.state(vin)).is_secured
    async with database.transaction() as connection:
        # One moment of it all: a line that comes between two questions is in both answers or in none.
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        ids = await _rows(
            connection, "SELECT id FROM visit WHERE access_point_id = %s ORDER BY begun_at, id", place_id
        )
        visits = [await read_told(connection, one["id"]) for one in ids]
        places = await _rows(connection, "SELECT blocked_at FROM access_point WHERE id = %s", place_id)
    skew = timedelta(seconds=skew_s)
    check = _Check(ledger=ledger, factor=factor, skew=skew, seen_late_s=seen_late_s, struck=struck)
    for told in visits:
        check.told = told
        try:
            check.visit(places[0]["blocked_at"])
        except Broken as error:
            seen = "\n".join(f"{one.at:%H:%M:%S.%f} {one.kind} {one.what} {one.outcome}" for one in ledger)
            raise Broken(f"{error}\n\n{told.story()}\n\nthe town:\n{seen}") from None
    check.emissions(visits)
    if sum(told.row.ended_at is None for told in visits) > 1:
        raise Broken("S6: two visits live at one place")
    if (
        visits
        and check.has_emitted
        and all(told.row.ended_at and not told.row.visit.is_watched for told in visits)
    ):
        check.told = visits[-1]
        check.at_rest(visits, is_secured=is_secured)
    return visits


async def check_everywhere(database: Database) -> None:
    """What must hold of the whole database: S6, L2, and no job that has failed for good. Raises Broken."""
    async with database.connection() as connection:
        for column in ("access_point_id", "courier_id"):
            query = f"SELECT {column} FROM visit WHERE ended_at IS NULL GROUP BY 1 HAVING count(*) > 1"
            if await _rows(connection, query):
                raise Broken(f"S6: two live visits of one {column}")
        query = "SELECT id FROM visit WHERE ended_at IS NULL AND deadline_at IS NULL"
        if rows := await _rows(connection, query):
            raise Broken(f"L2: {rows} live without a deadline")
        query = "SELECT status, entrypoint FROM pgqueuer WHERE status::text IN ('failed', 'exception')"
        if rows := await _rows(connection, query):
            raise Broken(f"a job has failed for good: {rows}")


class _Check:
    """The checks of one place. `told` is the visit in hand."""

    told: Told

    def __init__(
        self,
        *,
        ledger: Sequence[LedgerRow],
        factor: float,
        skew: timedelta,
        seen_late_s: float,
        struck: Sequence[tuple[datetime, datetime]],
    ) -> None:
        self.ledger = ledger
        self.factor = factor
        self.skew = skew
        self.seen_late_s = seen_late_s
        self.struck = struck

    def visit(self, blocked_at: datetime | None) -> None:
        """One visit."""
        self._chain()
        self._grant()
        self._gate(blocked_at)
        if self.told.row.visit.is_recorded:
            self._witnessed()
            self._lost()
        self._after_block()
        self._in_time()
        self._end()
        self._parcels()

    def emissions(self, visits: Sequence[Told]) -> None:
        """S1, S2: every unlock that a cloud got is a command of ours, passed its gate, and came once and at once."""
        commands = {one["id"]: (told, one) for told in visits for one in told.commands}
        seen: set[str] = set()
        for request in self.ledger:
            if request.kind != "request" or request.what not in UNLOCKS:
                continue
            if request.trace not in commands:
                raise Broken(f"S1: an unlock of ours that is no command: {request}")
            if request.trace in seen:
                raise Broken(f"S2: an unlock left twice: {request}")
            seen.add(request.trace)
            told, command = commands[request.trace]
            self.told = told
            if told.grants[0]["state"] != "used":
                raise Broken(f"S1: an unlock left on a grant that is {told.grants[0]['state']}")
            if command["state"] == "intent":
                raise Broken("S1: an unlock left whose command is still an intent")
            gates = told.entries_named("gate_passed")
            if len(gates) != 1:
                raise Broken(f"S1: {len(gates)} gates for an unlock that left")
            late_s = self._real_s(gates[0].entry.at, request.at)
            if late_s > FIRST_BYTE_S + self.seen_late_s:
                gate, left = gates[0].entry, request.at
                raise Broken(
                    f"S1: {late_s:.2f} s from the gate ({gate.at}, {gate.who}) to the first byte ({left})"
                )

    @property
    def has_emitted(self) -> bool:
        """Whether a cloud ever took on an unlock of ours."""
        return any(
            one.kind == "request" and one.what in UNLOCKS and one.outcome == "taken" for one in self.ledger
        )

    def at_rest(self, visits: Sequence[Told], *, is_secured: bool) -> None:
        """Visits and tails are over: closed and locked, or a person was called; and no command is under way."""
        for told in visits:
            if under_way := [one for one in told.commands if one["state"] in ("intent", "sent")]:
                raise Broken(f"L3: the tail is over, and under way is still {under_way}")
        if not is_secured and not any(one["kind"] == "operator" for told in visits for one in told.calls):
            raise Broken("L1: it is not locked, the visit and its tail are over, and nobody was called")

    def _real_s(self, start_at: datetime, end_at: datetime) -> float:
        return (end_at - start_at).total_seconds() / self.factor

    def _chain(self) -> None:
        """A1, A2: the journal is whole, and its head is the visit's."""
        told = self.told
        entries = [(kept.entry, kept.private) for kept in told.entries]
        numbers = [entry.number for entry, _ in entries]
        if numbers != list(range(1, told.row.journal_number + 1)):
            raise Broken(f"A1: the journal has the numbers {numbers}, its head {told.row.journal_number}")
        if entries[-1][0].hash != told.row.journal_hash:
            raise Broken("A1: the visit's head is not the journal's last entry")
        signer = Signer(public_key=bytes(32), sign=lambda _: bytes(64))
        text = export_proof(
            visit_id=told.row.id,
            exported_at=entries[-1][0].at,
            made_for="test",
            entries=entries,
            signer=signer,
            about={},
            attachments=[],
        )
        verdict = verify(text, public_key=None, is_signature_good=lambda *_: True)
        faults = [fault for fault in verdict.faults if "photo" not in fault.what]
        if faults:
            raise Broken(f"A2: {faults[0]}")

    def _grant(self) -> None:
        told = self.told
        if len(told.grants) > 1:
            raise Broken("S1: two grants of one visit")
        is_waiting = told.row.visit.state is State.GRANTED
        for grant in told.grants:
            if (grant["state"] == "live") != is_waiting:
                raise Broken(f"S1: the grant is {grant['state']} in {told.row.visit.state}")
            if grant["state"] == "used":
                age_s = (grant["ended_at"] - grant["granted_at"]).total_seconds()
                if age_s > GRANT_MAX_AGE_S:
                    raise Broken(f"S1: a grant was used that is {age_s} s old")
        unlocks = [one for one in told.commands if one["verb"] == "unlock"]
        if len(unlocks) != len(told.grants):
            raise Broken("S2: not one unlock for each grant")

    def _gate(self, blocked_at: datetime | None) -> None:
        """S4: nothing leaves after a block that was recorded before the gate."""
        gates = self.told.entries_named("gate_passed")
        for gate in gates:
            if any(one.entry.number < gate.entry.number for one in self.told.entries_named("blocked")):
                raise Broken("S4: the gate was passed after a block")
            if blocked_at is not None and blocked_at < gate.entry.at - self.skew:
                raise Broken("S4: the gate was passed though the place had been blocked before")

    def _witnessed(self) -> None:
        """S3: no home's gate is passed but on a proof of at most 5 s, under a lease that holds."""
        for gate in self.told.entries_named("gate_passed"):
            proven = [
                kept.entry
                for kept in self.told.entries_named("recording_proven")
                if kept.entry.number < gate.entry.number
            ]
            if not proven:
                raise Broken("S3: the gate of a home was passed, and no camera had proven that it records")
            body = gate.entry.body
            if not 0 <= body["proof_age_ms"] <= PROOF_FRESH_S * 1000 or body["lease_left_ms"] <= 0:
                raise Broken(f"S3: the gate of a home was passed on {body}")
            first = proven[-1]
            if body["proof"] == first.body["sha256"]:
                age_s = self._real_s(first.at, gate.entry.at)
                if age_s > PROOF_FRESH_S + SLOW_MACHINE_S:
                    raise Broken(f"S3: the gate of a home was passed {age_s:.2f} s after its proof")
            elif not any(body["proof"] == one["sha256"] for one in first.body.get("others", ())):
                made_again_s = (
                    time_of_text(body["proof_made_at"]) - time_of_text(first.body["made_at"])
                ).total_seconds()
                if made_again_s < 0:
                    raise Broken("S3: the gate of a home was passed on an older proof than the one written")

    def _lost(self) -> None:
        """S3: while it may be open, a silence of over 10 s is written as a loss, and the end is not clean."""
        told = self.told
        gates = told.entries_named("gate_passed")
        if not gates or told.entries_named("unlock_not_sent"):
            return
        begin, ends = gates[0].entry, told.entries_named("seen_locked")
        end_at = ends[-1].entry.at if ends else told.entries[-1].entry.at
        exposed = [
            one.entry for one in told.entries if begin.number <= one.entry.number and one.entry.at <= end_at
        ]
        lost = [one for one in exposed if one.name == "recording_lost"]
        if lost and told.row.visit.is_clean:
            raise Broken(
                "S3: the recording was lost while it may have been open, and the visit counts as clean"
            )
        heard = [begin.at, *(one.at for one in exposed if one.name == "recording_link"), end_at]
        for one_at, next_at in pairwise(heard):
            silent_s = self._real_s(one_at, next_at)
            is_told = any(one_at <= loss.at <= next_at for loss in lost) or not told.row.visit.is_clean
            if silent_s > GAP_ALLOWED_S + SLOW_MACHINE_S and not is_told:
                raise Broken(f"S3: nothing was recorded for {silent_s:.1f} s, and nobody was told")

    def _after_block(self) -> None:
        """S4: a block after the gate puts a lock on the wire within 2 s."""
        for block in self.told.entries_named("blocked"):
            if "lock" not in block.entry.body.get("orders", ()):
                continue
            at = block.entry.at
            by = self._by(
                at + timedelta(seconds=LOCK_AFTER_BLOCK_S * self.factor), at, again_s=LOCK_AFTER_BLOCK_S
            )
            is_on_the_wire = any(
                one["verb"] == "lock"
                and one["sent_at"] is not None
                and one["sent_at"] <= block.entry.at <= (one["ended_at"] or block.entry.at)
                for one in self.told.commands
            )
            if not is_on_the_wire and not any(
                one.kind == "request" and one.what in LOCKS and block.entry.at <= one.at <= by
                for one in self.ledger
            ):
                raise Broken("S4: no lock came within 2 s of the block")

    def _by(self, due: datetime, since: datetime, again_s: float = 0.0) -> datetime:
        """When what is due must have come on this machine. A blow since then puts it off to `again_s` after its end."""
        slack, again = (
            timedelta(seconds=SLOW_MACHINE_S * self.factor),
            timedelta(seconds=again_s * self.factor),
        )
        ends = [ended + again for began, ended in self.struck if began <= due + slack and ended >= since]
        return max([due, *ends]) + slack

    def _in_time(self) -> None:
        """L1: seen locked, or a person called, within 390 s of the gate. L2: what waits has a deadline."""
        told, visit = self.told, self.told.row.visit
        if visit.is_live and visit.deadline_at is None:
            raise Broken(f"L2: no deadline in {visit.state}")
        if visit.tail in (Tail.WATCHING, Tail.ALARM, Tail.BLIND) and visit.deadline_at is None:
            raise Broken(f"L2: no deadline of the tail {visit.tail}")
        for gate in told.entries_named("gate_passed"):
            if told.entries_named("unlock_not_sent"):
                continue
            due = gate.entry.at + timedelta(seconds=SECURE_WITHIN_S)
            by = self._by(due, due)
            answers = [one.entry.at for one in told.entries_named("seen_locked", "courier_pulled_handle")]
            answers += [one["opened_at"] for one in told.calls if one["kind"] == "operator"]
            latest_at = told.entries[-1].entry.at
            if not any(at <= by for at in answers) and (not visit.is_live or latest_at > by):
                raise Broken("L1: neither seen locked nor a person called within 390 s of the gate")

    def _end(self) -> None:
        """S5: an end that says locked rests on a reading newer than the last command, and it was really so."""
        told, state = self.told, self.told.row.visit.state
        if told.row.visit.is_live:
            return
        if told.row.ended_at is None:
            raise Broken(f"S6: {state} is final and still counts as live")
        left = [one for one in told.commands if one["verb"] == "unlock" and one["sent_at"] is not None]
        has_left = bool(left) and left[0]["state"] != "not_sent"
        if state is State.REFUSED and has_left:
            raise Broken("S5: refused, and yet an unlock may have left")
        if not has_left or state not in SEEN_ENDS:
            return
        locked = told.entries_named("seen_locked")
        if not locked:
            raise Broken(f"S5: {state}, and nobody has seen it locked")
        seen = locked[-1].entry if told.row.visit.tail is Tail.NONE else self._last_before_end(locked)
        observed_at = time_of_text(seen.body["observed_at"])
        for command in told.commands:
            sent_at = command["sent_at"]
            if sent_at is not None and observed_at <= sent_at <= seen.at:
                raise Broken(
                    f"S5: {state} by a reading of {observed_at}, older than the command of {sent_at}"
                )
        moments = {observed_at - self.skew, observed_at, observed_at + self.skew}
        truth = [self._physical_at(moment) for moment in sorted(moments)]
        if not any(one.is_locked and not one.is_open for one in truth):
            raise Broken(f"S5: {state} by a reading of {observed_at}, when it was {truth}")

    def _last_before_end(self, locked: Sequence[journal.KeptEntry]) -> Any:
        ended_at = self.told.row.ended_at
        assert ended_at is not None
        before = [kept.entry for kept in locked if kept.entry.at <= ended_at]
        if not before:
            raise Broken("S5: ended as seen locked before it was seen locked")
        return before[-1]

    def _physical_at(self, at: datetime) -> Physical:
        is_locked, is_open = True, False
        for one in self.ledger:
            if one.kind != "happening" or one.at > at + STAMP_STEP or one.outcome not in ("done", "already"):
                continue
            match one.what:
                case "unlock_trunk" | "unlock" | "key_unlock":
                    is_locked = False
                case "lock_trunk" | "lock" | "key_lock" | "relocked":
                    is_locked = True
                case "unlatch":
                    is_locked, is_open = False, True
                case "open_trunk" | "open_door" | "open_cover":
                    is_open = True
                case "close_trunk" | "close_door" | "close_cover":
                    is_open = False
        return Physical(is_locked=is_locked, is_open=is_open)

    def _parcels(self) -> None:
        """L4: in exactly one place, and that of the visit's end."""
        told, state = self.told, self.told.row.visit.state
        for parcel in told.parcels:
            if (parcel["place"] == "with_courier") != (parcel["held_by"] is not None):
                raise Broken(f"L4: the parcel is {parcel['place']} and held by {parcel['held_by']}")
            if state in INSIDE and parcel["place"] != "in_place":
                raise Broken(f"L4: {state}, and the parcel is {parcel['place']}")
            was_delivered = state is State.REFUSED and parcel["place"] == "in_place"
            if state in WITH_COURIER and parcel["place"] == "in_place" and not was_delivered:
                raise Broken(f"L4: {state}, and the parcel is {parcel['place']}")
            if told.row.visit.is_live and parcel["place"] not in ("with_courier", "with_carrier"):
                raise Broken(f"L4: {state}, and the parcel is {parcel['place']} already")
