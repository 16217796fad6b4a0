"""The gate: the one transaction after which an unlock may leave, and leaves at most once.

It locks access point, visit, grant and command, checks again what may have changed since the decision, marks the
grant USED and the command SENT, and writes the journal. Commit order on the access point's row decides every
race: a block, a cancellation or a redirect that committed before is seen here; a block that comes later finds the
unlock sent and orders a lock, and the others are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from unlatch.clock import monotonic_s
from unlatch.domain.decision import GRANT_MAX_AGE_S
from unlatch.domain.incident import Incident
from unlatch.domain.proof import text_of_time
from unlatch.domain.visit import FIRST_BYTE_WITHIN_S, Fact, State
from unlatch.flow.filming import Hold
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record_in
from unlatch.store import commands, visits
from unlatch.store.commands import CommandState, GateView, GrantState

COMMAND_LEASE_S = 130.0  # longer than any maker lets us wait; then others call the end unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """The gate is passed: the unlock may leave, once, before `first_byte_by_s` (monotonic seconds)."""

    visit_id: str
    first_byte_by_s: float


async def pass_gate(
    platform: Platform, command_id: str, obstacle: Incident | None, *, hold: Hold | None = None
) -> Passage | None:
    """Pass the gate with this unlock, or shut it for good. None: the unlock must not leave (any more).

    `obstacle`: why this process could not send it anyway (cloud in outage, quota used up). `hold`: what a home's gate
    rests on; without one it stays shut (S3).
    """
    async with platform.database.pipelined_transaction() as connection:
        view = await commands.lock_gate(connection, command_id)
        if view is None or view.command_state is not CommandState.INTENT:
            return None  # carried out, withdrawn, or in another worker's hands
        row = await visits.lock_visit(connection, view.visit_id)
        # Only now, with every row locked: waiting for them has made the grant older, and may have ended a consent.
        # A lock that follows waits from `now` until the first byte's time is over, so both are taken here.
        first_byte_by_s = monotonic_s() + FIRST_BYTE_WITHIN_S
        now = platform.clock.now()
        why_not = obstacle or _why_not(view, row.visit.state, now)
        if row.visit.is_recorded and why_not is None:
            why_not = _why_unwitnessed(hold)
            if hold is not None:  # its first byte leaves under the lease, or never
                first_byte_by_s = min(first_byte_by_s, hold.lease.until_s)
        who = f"worker:{platform.name}"
        if why_not is not None:
            await record_in(connection, row, Happening(fact=Fact.GATE_SHUT, who=who, incident=why_not), now)
            return None
        lease_until = now + timedelta(seconds=COMMAND_LEASE_S)
        await commands.end_grant(connection, view.visit_id, GrantState.USED, now)
        await commands.set_sent(connection, command_id, platform.name, now, lease_until)
        row = row.after(last_command_at=now)
        body: dict[str, Any] = {"command": command_id}
        if hold is not None:
            body |= _evidence_of(hold)
        await record_in(connection, row, Happening(fact=Fact.GATE_PASSED, who=who, body=body), now)
    return Passage(visit_id=view.visit_id, first_byte_by_s=first_byte_by_s)


def _why_unwitnessed(hold: Hold | None) -> Incident | None:
    """Why no camera witnesses this opening (S3). Asked with every row locked: waiting for them has made it older."""
    if hold is None or not hold.proof.is_fresh(monotonic_s()):
        return Incident.DEVICE_CAMERA_NOT_PROVEN
    return None if hold.lease.is_live(monotonic_s()) else Incident.DEVICE_RECORDING_LOST


def _evidence_of(hold: Hold) -> dict[str, Any]:
    """On which proof and lease a home was opened (A1): where another worker made a new one, no older line tells."""
    now_s = monotonic_s()
    return {
        "camera": hold.camera_id,
        "proof": hold.proof.sha256.hex(),
        "proof_made_at": text_of_time(hold.proof.made_at),
        "proof_age_ms": round((now_s - hold.proof.made_s) * 1000),
        "lease_left_ms": round(hold.lease.left_s(now_s) * 1000),
    }


def _why_not(view: GateView, state: State, now: datetime) -> Incident | None:
    """What has changed since the decision."""
    if view.is_blocked:
        return Incident.CONSIGNEE_BLOCKED
    if view.consent_ends_at is not None and view.consent_ends_at <= now:
        return Incident.CONSIGNEE_CONSENT_ENDED  # nobody is told that they have blocked it
    if view.is_frozen:
        return Incident.PLATFORM_PLACE_FROZEN
    if view.frozen is not None:
        return view.frozen
    if view.ruled_out is not None:
        return view.ruled_out
    if view.is_place_watched:
        return Incident.PLATFORM_PLACE_STILL_WATCHED
    if not view.is_stop_open:
        return Incident.CARRIER_STOP_ENDED
    if view.is_device_revoked:
        return Incident.COURIER_DEVICE_REVOKED
    if not view.is_courier_active:
        return Incident.COURIER_NOT_ACTIVE
    too_old = now - view.granted_at > timedelta(seconds=GRANT_MAX_AGE_S)
    if (
        too_old
        or state is not State.GRANTED
        or view.grant_state is not GrantState.LIVE
        or view.grant_epoch != view.fence_epoch
    ):
        return Incident.PLATFORM_TOO_SLOW
    return None
