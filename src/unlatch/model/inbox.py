"""The inbox of a cloud's messages: late, double, reordered, forged, of another place, or simply wrong.

What a cloud sends of its own accord comes in beside what we read ourselves. The rules are those of S7: a signature that
is wrong, or another access point's, and nothing happens; older than the last one used, and nothing happens; bad news is
believed at once, whoever brings it; good news makes us look, and only what we read ourselves counts.

The product takes no such messages yet; this is what its inbox will have to keep. Everything else is the model of one
visit, from just after its gate: its lock, its clock, its people, its car.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from unlatch.domain.visit import Fact, Visit
from unlatch.model import one_visit
from unlatch.model.situation import (
    AFTER_LATE,
    AJAR,
    CLOSED_KIND,
    ENDED_UNKNOWN,
    KIND,
    LOCK_NONE,
    LOCKED_KIND,
    NEWER_THAN_COMMAND,
    NEWER_THAN_USED,
    NEWER_THAN_WORD,
    NEWEST,
    NOTHING,
    ONLY_IF,
    OPEN,
    OPEN_KIND,
    PASSED,
    PAST,
    RECORDED,
    SENT,
    SHUT,
    WAITING,
    WITH_PENDING,
    Belief,
    BrokenError,
    Move,
    Variant,
    describe_reading,
)

# Whose word a message is, above the bits of a reading. Those not of our own reading come in whenever they like.
OWN, PUSHED, FORGED, ELSEWHERE, ORIGIN = 0, 128, 256, 384, 384
WHOSE = {
    OWN: "what we have read",
    PUSHED: "a message of the cloud",
    FORGED: "a message with a wrong signature",
    ELSEWHERE: "a message of another access point",
}
KINDS = (LOCKED_KIND, CLOSED_KIND, OPEN_KIND)
ENDS = (Fact.UNLOCK_SAID_DONE, Fact.UNLOCK_REJECTED, Fact.UNLOCK_UNKNOWN)


# --- what an inbox does; mutants replace these ---------------------------------------------------------------------


def is_signed(message: int) -> bool:
    """Whether the signature is the cloud's, over these very bytes."""
    return message & ORIGIN != FORGED


def is_of_place(message: int) -> bool:
    """Whether it tells of the closure whose visit it would move."""
    return message & ORIGIN != ELSEWHERE


def is_believed(message: int) -> bool:
    """Bad news at once; good news only where we have read it ourselves."""
    return message & ORIGIN == OWN or message & KIND != LOCKED_KIND


def is_newer(message: int) -> bool:
    """Whether it was observed after the last one used."""
    return bool(message & NEWER_THAN_USED)


class Inbox(one_visit.Place):
    """One place of which readings, messages and forgeries are on their way, a few at a time."""

    def __init__(self, variant: Variant, *, most_messages: int = 1) -> None:
        super().__init__(replace(variant, most_readings=most_messages))

    def first(self) -> Belief:
        """Where it begins: the gate has just opened."""
        asked = Belief(self.begin(), NOTHING, LOCK_NONE, 0, ())
        granted = self._advance(asked, Fact.GRANTED)
        if granted.unlock != WAITING:
            raise BrokenError("S1", "granted, and no unlock is ordered")
        return self._advance(granted._replace(unlock=PASSED), Fact.GATE_PASSED)

    def _of_the_worker(self, visit: Visit, now: Belief) -> Iterator[Move]:
        """The unlock, in short: it leaves or does not, and its end is told."""
        if now.unlock == PASSED:
            for effects, change in enumerate(WITH_PENDING):
                words = f"the unlock leaves; it can take effect {effects} times"
                yield Move(words, now._replace(unlock=SENT), True, change)
            for fact, reached in RECORDED[PASSED]:
                yield Move(
                    f"the worker records {fact}", self._advance(now._replace(unlock=reached), fact), True
                )
        elif now.unlock == SENT:
            for fact in ENDS:
                ended = self._advance(now._replace(unlock=ENDED_UNKNOWN), fact)
                yield Move(f"the worker records {fact}", ended, True)

    def _of_readings(self, now: Belief) -> Iterator[Move]:
        if len(now.readings) < self.variant.most_readings:
            yield from self._sent(now)
        for index, message in enumerate(now.readings):
            if index and message == now.readings[index - 1]:
                continue  # the same as the one before
            yield from self._arrived(now, index, message)

    def _sent(self, now: Belief) -> Iterator[Move]:
        """What may set out. We read the truth as it is at that moment; a cloud may be wrong, a forger says anything."""
        late = AFTER_LATE if self.visits[now.visit].late_until == PAST else 0
        for truth, kind in ((SHUT, LOCKED_KIND), (AJAR, CLOSED_KIND), (OPEN, OPEN_KIND)):
            read = now._replace(readings=(*now.readings, self._folded(kind | NEWEST | late)))
            yield Move("the closure looks at itself, for us", read, True, ONLY_IF[truth])
        for origin in (PUSHED, FORGED, ELSEWHERE):
            for kind in KINDS:
                message = self._folded(origin | kind | NEWEST | late)
                sent = now._replace(readings=(*now.readings, message))
                yield Move(f"{WHOSE[origin]} sets out: {describe_reading(kind | NEWEST)}", sent, False)

    def _folded(self, reading: int) -> int:
        """Messages between which no one can tell are the same: of one that is not believed, its words are all."""
        origin = reading & ORIGIN
        if origin in (FORGED, ELSEWHERE):
            return origin | super()._folded(reading & KIND | NEWEST)
        if origin == PUSHED and reading & KIND == LOCKED_KIND:
            return origin | super()._folded(reading & ~ORIGIN) & ~AFTER_LATE | AFTER_LATE
        return origin | super()._folded(reading & ~ORIGIN)

    def _arrived(self, now: Belief, index: int, message: int) -> Iterator[Move]:
        origin, reading = message & ORIGIN, message & ~ORIGIN
        words = f"{WHOSE[origin]} arrives: {describe_reading(reading)}"
        older, newer = now.readings[:index], now.readings[index + 1 :]
        is_taken = is_signed(message) and is_of_place(message) and is_believed(message)
        judged = reading | NEWER_THAN_USED if is_newer(message) else reading & ~NEWER_THAN_USED
        fact = self.fact_of(now.visit, judged) if is_taken else None
        if fact is None:
            self._check_left_alone(now, message)
            after = now._replace(readings=older + newer)
        else:
            outdated = NEWER_THAN_USED if reading & KIND == LOCKED_KIND else NEWER_THAN_USED | NEWER_THAN_WORD
            older = tuple(self._folded(each & ~outdated) for each in older)
            before = now._replace(readings=older + newer)
            after = self._advance(before, fact, reading)
            if after != before:
                self._check_message(message)
            message = self._folded(message & ~NEWER_THAN_USED)
        yield Move(words, after, origin == OWN)
        if origin != OWN or reading & KIND == LOCKED_KIND:
            doubled = after._replace(readings=(*older, message, *newer))
            yield Move(f"{words}; it will come again", doubled, False)

    def _check_left_alone(self, now: Belief, message: int) -> None:
        """S7: bad news of the cloud, newer than all that was used, is believed at once."""
        is_bad_news = message & ORIGIN == PUSHED and message & KIND != LOCKED_KIND
        if not is_bad_news or not message & NEWER_THAN_USED:
            return
        fact = self.fact_of(now.visit, message & ~ORIGIN)
        if fact is not None and self.step(now.visit, fact)[:2] != (now.visit, frozenset()):
            raise BrokenError("S7", "the cloud says that it stands open, and nobody believes it")

    def _check_message(self, message: int) -> None:
        """S7: whose word has just changed the visit."""
        origin = message & ORIGIN
        if origin == FORGED:
            raise BrokenError("S7", "a message with a wrong signature changes the visit")
        if origin == ELSEWHERE:
            raise BrokenError("S7", "a message of another access point changes the visit")
        if origin == PUSHED and message & KIND == LOCKED_KIND:
            raise BrokenError("S7", "the cloud's word that it is locked is believed, and nobody has looked")
        if message & KIND == LOCKED_KIND and not message & NEWER_THAN_COMMAND:
            raise BrokenError("S7", "locked counts although it was observed before our last command")
