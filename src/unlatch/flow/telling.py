"""Which of a visit's changes people are told of. On the good path nothing is told before the gate has been passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from unlatch.domain.decision import BY_PEOPLE
from unlatch.domain.incident import NextStep, next_step_of
from unlatch.domain.notice import READERS, NoticeEvent, NoticeReader
from unlatch.domain.visit import State, Tail, Visit
from unlatch.store import notices
from unlatch.store.visits import VisitRow

_OPEN = frozenset({State.UNLOCKED, State.OPEN})
_ENDS: Mapping[State, NoticeEvent] = {
    State.DELIVERED: NoticeEvent.DELIVERED,
    State.DELIVERED_LOCK_NOT_SEEN: NoticeEvent.DELIVERED_LOCK_NOT_SEEN,
    State.HANDED_OVER: NoticeEvent.HANDED_OVER,
    State.RULED_DELIVERED: NoticeEvent.RULED_DELIVERED,
    State.UNDELIVERED: NoticeEvent.NOT_DELIVERED,
    State.UNDELIVERED_LOCK_NOT_SEEN: NoticeEvent.NOT_DELIVERED_LOCK_NOT_SEEN,
    State.RULED_UNDELIVERED: NoticeEvent.NOT_DELIVERED,
}
_ALARMS = (Tail.ALARM, Tail.BLIND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One event of a visit, and what its texts are made with."""

    event: NoticeEvent
    key: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_of_plan: bool = False  # the same end of another scan for the same plan is not told again


async def tell_of_visit(connection: AsyncConnection, before: Visit, after: VisitRow, now: datetime) -> None:
    """Tell everyone what this change means for them, in the transaction of the change."""
    for telling in list_tellings(before, after, now):
        wanted = READERS[telling.event]
        await notices.insert_visit_notices(
            connection,
            telling.event,
            readers={f"for_{reader}": reader in wanted for reader in NoticeReader},
            visit=after,
            key=telling.key,
            is_of_plan=telling.is_of_plan,
            facts=telling.facts,
            now=now,
        )


def list_tellings(before: Visit, after: VisitRow, now: datetime) -> list[Telling]:
    """What is to be told of a change. Most changes are nobody's news. No I/O."""
    visit = after.visit
    again = f"{after.id}/{after.journal_number}"  # an alarm that comes back is told again
    if before.is_clean and not visit.is_clean and visit.is_watched:  # S3, whatever else is under way
        return [Telling(event=NoticeEvent.RECORDING_LOST, key=again)]
    if visit.state is before.state and visit.tail is before.tail:
        return []
    incident = {} if after.incident is None else {"incident": after.incident.value}
    if not before.is_live:
        is_news = visit.tail in _ALARMS and visit.tail is not before.tail
        return [Telling(event=NoticeEvent.OPENED_AFTERWARDS, key=again, facts=incident)] if is_news else []
    if visit.state in _OPEN and before.state not in _OPEN and not before.has_opened:
        return [Telling(event=NoticeEvent.UNLOCKED, key=after.id, facts={"at": now.isoformat()})]
    if visit.state is State.UNSECURED:
        return [Telling(event=NoticeEvent.NOT_SECURED, key=again, facts=incident)]
    if visit.state is State.REFUSED:
        return _of_refusal(after, incident)
    if visit.state not in _ENDS:
        return []
    event = _ENDS[visit.state]
    facts: dict[str, Any] = dict(incident)
    if event is NoticeEvent.DELIVERED:
        # The lock was seen by the last reading that was used, which may be older than the courier's last word.
        facts = {"at": (after.last_observed_at or now).isoformat()}
    return [Telling(event=event, key=after.id, facts=facts)]


def _of_refusal(after: VisitRow, incident: Mapping[str, Any]) -> list[Telling]:
    """Only what the courier can't mend: else they will scan again in a moment.

    What people have decided about the stop (redirected, cancelled, nobody came) was told when it was decided; a parcel
    that is redirected to another place is even on its way still.
    """
    if (
        after.incident in BY_PEOPLE
        or next_step_of(after.visit.state, after.incident) is not NextStep.TAKE_FALLBACK
    ):
        return []
    reason = incident.get("incident", "refused")
    return [Telling(event=NoticeEvent.NOT_DELIVERED, key=reason, facts=incident, is_of_plan=True)]
