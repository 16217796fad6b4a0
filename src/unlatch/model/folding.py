"""The visits of a model: the real protocol, folded to one moment.

The protocol is never written a second time here: every move of a visit is `unlatch.domain.visit.step`, every judgement
of a reading is `sight_of` and `fact_of_sight`, every deadline is `due_fact`.

Time is folded. A visit depends on time only through the order of its deadline, its patience, the end of the time
in which a late unlock may come, and what a reading is newer than. So each visit is kept as seen from one fixed
`NOW`, with those moments before or after it, and a reading carries what it is newer than.
"""

from __future__ import annotations

from dataclasses import fields, replace

from unlatch.domain import reading as reading_words
from unlatch.domain import visit as protocol
from unlatch.domain.access import Closure
from unlatch.domain.reading import Reading, Sight
from unlatch.domain.visit import Fact, Order, Visit
from unlatch.model.situation import (
    AFTER_FAR,
    AFTER_LATE,
    FAR,
    KIND,
    LOCKED_KIND,
    NEWER_THAN_COMMAND,
    NEWER_THAN_MARK,
    NEWER_THAN_USED,
    NOW,
    OPEN_KIND,
    PAST,
    SECOND,
    SOON,
    WATCHED_TAILS,
    BrokenError,
)

HAS_MARK = any(each.name == "locked_counts_after" for each in fields(Visit))


class Visits:
    """All visits met so far at closures of one kind, each by its number."""

    def __init__(self, closure: Closure) -> None:
        self.closure = closure
        self.visits: list[Visit] = []
        self._ids: dict[Visit, int] = {}
        self._steps: dict[tuple[int, Fact], tuple[int, frozenset[Order], bool]] = {}
        self._facts: dict[tuple[int, int], Fact | None] = {}
        self._after_late: dict[int, int] = {}
        self._due: dict[tuple[int, bool], Fact | None] = {}

    def begin(self, *, is_recorded: bool = False, rings_first: bool = False) -> int:
        """The number of a visit that has just begun."""
        visit, orders = protocol.begin(
            self.closure, is_recorded=is_recorded, rings_first=rings_first, now=NOW
        )
        if Order.UNLOCK in orders:
            raise BrokenError("S1", "an unlock is ordered before any decision")
        return self.known(visit)

    def known(self, visit: Visit) -> int:
        """The number of this visit, folded to one `NOW`."""
        secure_by, deadline_at, late_until = visit.secure_by, visit.deadline_at, visit.late_until
        if visit.is_live:
            if deadline_at is None:
                raise BrokenError("L2", f"{visit.state} has no deadline")
            if secure_by is not None and not visit.is_called and deadline_at > secure_by:
                raise BrokenError("L1", f"the deadline of {visit.state} lies after the visit's patience")
        elif visit.tail in WATCHED_TAILS and deadline_at is None:
            raise BrokenError("L2", f"the tail {visit.tail} has no deadline")
        if deadline_at is not None:
            if deadline_at < NOW:
                raise BrokenError("L2", f"{visit.state} is given a deadline in the past")
            comes_after = FAR if visit.is_live or late_until is None else min(late_until, FAR)
            deadline_at = (
                AFTER_FAR if late_until and late_until > NOW and deadline_at >= comes_after else SOON
            )
        if late_until is not None:
            late_until = PAST if late_until <= NOW else FAR
        folded = replace(
            visit,
            secure_by=None if secure_by is None else SOON,
            deadline_at=deadline_at,
            late_until=late_until,
            decided_at=None,  # the shell's: it moves nothing here
        )
        if HAS_MARK and folded.locked_counts_after is not None:
            folded = replace(folded, locked_counts_after=PAST)
        if folded not in self._ids:
            self._ids[folded] = len(self.visits)
            self.visits.append(folded)
        return self._ids[folded]

    def step(self, number: int, fact: Fact) -> tuple[int, frozenset[Order], bool]:
        """The visit's number after `fact`, the orders, and whether *locked* must now be seen anew."""
        known = self._steps.get((number, fact))
        if known is None:
            visit = self.visits[number]
            try:
                after, orders = protocol.step(visit, fact, NOW)
            except (KeyError, ValueError, TypeError) as error:
                why = f"{fact} in {visit.state} breaks the protocol: {error!r}"
                raise BrokenError("L2", why) from error
            is_marked = HAS_MARK and after.locked_counts_after == NOW
            known = self._steps[number, fact] = (self.known(after), frozenset(orders), is_marked)
        return known

    def fact_of(self, number: int, reading: int) -> Fact | None:
        """Which fact a reading on its way is, by the real judgement. None: it says nothing."""
        key = number, reading
        if key not in self._facts:
            visit, closure = self.visits[number], self.closure
            told = Reading(
                observed_at=NOW,
                is_locked=(reading & KIND) == LOCKED_KIND if closure.reads_lock else None,
                is_open=(reading & KIND) == OPEN_KIND if closure.reads_lid else None,
            )
            sight = reading_words.sight_of(
                told,
                closure,
                last_used_at=NOW - SECOND if reading & NEWER_THAN_USED else NOW,
                last_command_at=NOW - SECOND if reading & NEWER_THAN_COMMAND else NOW + SECOND,
            )
            if visit.late_until is not None:
                late = reading & AFTER_LATE and visit.late_until <= NOW
                visit = replace(visit, late_until=NOW if late else NOW + SECOND)
            if HAS_MARK and visit.locked_counts_after is not None:
                mark = NOW - SECOND if reading & NEWER_THAN_MARK else NOW + SECOND
                visit = replace(visit, locked_counts_after=mark)
            fact = None if sight is Sight.NOTHING else protocol.fact_of_sight(visit, sight, NOW)
            self._facts[key] = fact
        return self._facts[key]

    def without_late(self, number: int) -> int:
        """The same visit, when an unlock of ours can't take effect any more."""
        if number not in self._after_late:
            self._after_late[number] = self.known(replace(self.visits[number], late_until=PAST))
        return self._after_late[number]

    def due_fact(self, number: int, *, is_patience: bool) -> Fact | None:
        """What the clock has to say when the visit's patience, or else its deadline alone, has run out."""
        key = number, is_patience
        if key not in self._due:
            visit = replace(self.visits[number], deadline_at=NOW)
            self._due[key] = protocol.due_fact(replace(visit, secure_by=NOW) if is_patience else visit, NOW)
        return self._due[key]

    def after_deadline(self, number: int) -> tuple[int, frozenset[Order]]:
        """The visit's number after its deadline, and the orders; a late unlock can't come any more."""
        visit = self.visits[number]
        if visit.deadline_at == AFTER_FAR:
            number = self.without_late(number)
        after, orders, _ = self.step(number, Fact.CLOCK_RAN_OUT)
        return after, orders
