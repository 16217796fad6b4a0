"""Raise the fence after a restore or a failover that may have lost commits (S10).

A database that was put back to an earlier moment may hold a grant as live whose unlock has left already. The same
worker would send it again. So every grant is dead, every visit that waits before its gate is shut, and people are
called to look at those places: that an unlock has left is not known, nor that none has.
"""

from __future__ import annotations

from dataclasses import dataclass

from unlatch.domain.incident import Incident
from unlatch.domain.visit import BEFORE_GATE, Fact
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record_in
from unlatch.store import calls, commands, fence, visits
from unlatch.store.consignees import find_access_point
from unlatch.store.ids import make_id
from unlatch.store.visits import VisitRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """The new epoch, and the visits that were shut: somebody should look at their places."""

    epoch: int
    shut: tuple[VisitRow, ...]


async def raise_fence(platform: Platform) -> Raised:
    """Kill every live grant and shut every visit before its gate, in one transaction. May be repeated at will."""
    now = platform.clock.now()
    shut = []
    async with platform.database.transaction() as connection:
        epoch = await fence.raise_epoch(connection)
        for visit_id, access_point_id in await fence.list_waiting_visits(connection):
            # As the gate does: the place first. What has passed the gate meanwhile is the protocol's to end.
            await find_access_point(connection, access_point_id, is_locked=True)
            row = await visits.lock_visit(connection, visit_id)
            if row.visit.state not in BEFORE_GATE:
                continue
            # Nobody can swear that its unlock has left, nor that it has not: its end is unknown (S1), and the closure
            # is watched for as long as it could still take effect (S2, L3).
            await commands.doubt_unlock(connection, visit_id, now)
            happening = Happening(fact=Fact.RESTORED, who="platform", body={"epoch": epoch})
            shut.append(await record_in(connection, row, happening, now))
            for kind in ("operator", "consignee"):
                await calls.open_call(
                    connection,
                    make_id("cal"),
                    visit_id=visit_id,
                    kind=kind,
                    incident=Incident.PLATFORM_RESTORED,
                    now=now,
                )
        await fence.end_live_grants(connection, now)
    return Raised(epoch=epoch, shut=tuple(shut))
