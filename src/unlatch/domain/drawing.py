"""The visit protocol as a page: its diagram and its tables, drawn from the running table.

Nothing here decides anything. The page is `docs/reference/visit.md`; a test fails when it is stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from unlatch.domain.visit import (
    DEADLINES_S,
    FINAL,
    FIRST_BYTE_WITHIN_S,
    ORDERS,
    SECURE_WITHIN_S,
    TAIL_DEADLINES_S,
    TAIL_ORDERS,
    TAIL_TRANSITIONS,
    TRANSITIONS,
    WEAK_ONLY,
    Fact,
    Order,
    State,
    Tail,
    Turn,
)

Target = TypeVar("Target", bound=StrEnum)
SETTLED = "settled"  # in the diagram: all that SETTLE can lead to
MEANINGS: Mapping[State, str] = {
    State.REQUESTED: "The label is read. A fresh reading of the closure is awaited, then the decision.",
    State.RINGING: "Homes only. All checks passed. The courier rings or knocks, and waits for someone to come.",
    State.ANSWERED: "Homes only. Someone came to the door. Nothing of ours opens it any more.",
    State.PROVING: "Homes only. Granted, if the camera proves that it records.",
    State.GRANTED: "A grant lives. The unlock has not passed its gate; nothing has left.",
    State.UNLOCKING: "The gate has passed: an unlock may be on its way. No word from the cloud yet.",
    State.IN_DOUBT: "The cloud says failed, or nothing. The closure may open all the same.",
    State.READY: "The cloud says unlocked. Nobody has seen it.",
    State.UNLOCKED: "Seen unlocked, not seen open.",
    State.OPEN: "Seen open, or the courier says so.",
    State.OPEN_LONG: "Open for longer than it should be. The courier is reminded.",
    State.CLOSED: "Seen closed again, not locked.",
    State.LOCKING: "The lock is ordered. It has not been seen locked since.",
    State.STUCK: "The lock failed. The courier is asked to close firmly and to pull the handle.",
    State.LOCKING_AGAIN: "The lock is ordered a second time.",
    State.HANDLE_CHECK: "The lock can't be read here, and the cloud says locked. The courier pulls the handle.",
    State.UNSECURED: "Not seen locked in time, or an alarm. Operator and consignee are called, the lock tried again.",
    State.ACCOUNTING: "Locked again, but nobody has said where the parcel is. The courier is asked.",
    State.REVIEW: "An operator is asked to rule where the parcel is.",
    State.REFUSED: "No unlock has left. The fallback is taken.",
    State.HANDED_OVER: "Someone at home took the parcel. No unlock has left.",
    State.DELIVERED: "The parcel is inside, and the closure was seen locked after it.",
    State.DELIVERED_LOCK_NOT_SEEN: "The parcel is inside. The lock can't be read here: a weaker end, of its own name.",
    State.UNDELIVERED: "The parcel is with the courier. The closure was seen locked, or was never touched.",
    State.UNDELIVERED_LOCK_NOT_SEEN: "The parcel is with the courier. The lock can't be read here.",
    State.RULED_DELIVERED: "A person ruled that the parcel is inside.",
    State.RULED_UNDELIVERED: "A person ruled that it is not.",
}
TAIL_MEANINGS: Mapping[Tail, str] = {
    Tail.NONE: "The visit still lives, or nothing was sent: there is nothing to watch.",
    Tail.WATCHING: "A late unlock may still come. The closure is read from time to time.",
    Tail.ALARM: "Seen unlocked or open after the visit. It is locked again, people are called.",
    Tail.BLIND: "It could not be seen locked once a late unlock had become impossible.",
    Tail.OVER: "No unlock of ours can take effect any more, and it was seen locked after that, or a person ruled.",
}
HEAD = """# The visit

<!-- Written by domain/drawing.py from the tables of domain/visit.py. To renew it, run
     PYTHONPATH=src:. python -m tests.domain.test_drawing -->

One attempt by one courier to deliver to one place. It advances by *facts* and answers with *orders*; a fact that
a state does not list changes nothing. Orders depend on the state entered alone. No state waits for ever.
"""


def draw_page() -> str:
    """The whole page, as Markdown."""
    parts = (
        HEAD,
        "## The way through\n\n" + _fenced(draw_states()),
        _note_on_diagram(),
        "## States\n\n" + _states_table(),
        _note_on_clocks(),
        "## The tail\n\nAfter the end the closure stays watched while an unlock of ours may still take effect.\n\n"
        + _fenced(draw_tail()),
        _tails_table(),
        "## Every fact in every state\n\n" + _facts_table(),
    )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def draw_states() -> str:
    """The states of a visit as a Mermaid state diagram. Rulings are drawn as one end."""
    lines = ["stateDiagram-v2", f"    state {SETTLED} <<choice>>", f"    [*] --> {State.REQUESTED}"]
    for state, arrows in TRANSITIONS.items():
        for target, facts in _by_target(arrows).items():
            if target not in (Turn.STAY, state):
                words = _words(facts, state)
                lines.extend(f"    {state} --> {place}: {words}" for place in _places(target))
    ends = (
        (State.LOCKING, "first news of an opening"),
        (State.ACCOUNTING, "parcel unsaid"),
        (State.DELIVERED, "parcel inside"),
        (State.DELIVERED_LOCK_NOT_SEEN, "parcel inside, lock not readable"),
        (State.UNDELIVERED, "parcel with the courier"),
        (State.UNDELIVERED_LOCK_NOT_SEEN, "parcel with the courier, lock not readable"),
    )
    lines.extend(f"    {SETTLED} --> {state}: {words}" for state, words in ends)
    lines.extend(f"    {state} --> [*]" for state in State if state in FINAL)
    return "\n".join(lines)


def draw_tail() -> str:
    """The tail as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {Tail.WATCHING}"]
    for tail, arrows in TAIL_TRANSITIONS.items():
        for target, facts in _by_target(arrows).items():
            if target != tail:
                lines.append(f"    {tail} --> {target}: {', '.join(facts)}")
    lines.append(f"    {Tail.OVER} --> [*]")
    return "\n".join(lines)


def _by_target(arrows: Mapping[Fact, Target]) -> dict[Target, list[Fact]]:
    by_target: dict[Target, list[Fact]] = {}
    for fact, target in arrows.items():
        by_target.setdefault(target, []).append(fact)
    return by_target


def _places(target: State | Turn) -> tuple[str, ...]:
    if target is Turn.PREPARE:
        return (State.RINGING, State.PROVING, State.GRANTED)
    if target is Turn.RELOCK:
        return (State.UNSECURED,)
    return (SETTLED,) if target is Turn.SETTLE else (target,)


def _words(facts: Iterable[Fact], state: State) -> str:
    return ", ".join(f"{fact} (weak)" if (state, fact) in WEAK_ONLY else fact for fact in facts)


def _fenced(diagram: str) -> str:
    return f"```mermaid\n{diagram}\n```"


def _note_on_diagram() -> str:
    return (
        "*Weak*: only where the lock can't be read. *Settled*: locked again; which end it is depends on the parcel and "
        "on what can be seen there. Where the courier's word is the first news of an opening, the closure is locked "
        "and looked at once more. From `requested`, homes go to `proving`, cars to `granted`."
    )


def _note_on_clocks() -> str:
    return (
        "From the gate until the closure was seen locked a second clock runs: when "
        f"{SECURE_WITHIN_S} s have passed and nobody was called, the visit is `unsecured` whatever its state, and "
        f"people are called. An unlock's first byte leaves at most {FIRST_BYTE_WITHIN_S} s after its gate, or never."
    )


def _orders(orders: Iterable[Order]) -> str:
    return ", ".join(f"`{order}`" for order in orders) or "none"


def _states_table() -> str:
    lines = ["| state | what it means | at most | orders on entering |", "|---|---|---|---|"]
    for state in State:
        at_most = f"{DEADLINES_S[state]} s" if state in DEADLINES_S else "final"
        lines.append(f"| `{state}` | {MEANINGS[state]} | {at_most} | {_orders(ORDERS.get(state, ()))} |")
    return "\n".join(lines)


def _tails_table() -> str:
    lines = ["| tail | what it means | at most | orders on entering |", "|---|---|---|---|"]
    for tail in Tail:
        at_most = f"{TAIL_DEADLINES_S[tail]} s" if tail in TAIL_DEADLINES_S else "for good"
        if tail is Tail.WATCHING:
            at_most += ", once a late unlock is impossible"
        lines.append(
            f"| `{tail}` | {TAIL_MEANINGS[tail]} | {at_most} | {_orders(TAIL_ORDERS.get(tail, ()))} |"
        )
    return "\n".join(lines)


def _facts_table() -> str:
    lines = ["| state | fact | leads to |", "|---|---|---|"]
    for state, arrows in TRANSITIONS.items():
        for target, facts in _by_target(arrows).items():
            named = ", ".join(f"`{word}`" for word in _words(facts, state).split(", "))
            lines.append(f"| `{state}` | {named} | {_leads_to(target, state)} |")
    return "\n".join(lines)


def _leads_to(target: State | Turn, state: State) -> str:
    if target is Turn.STAY:
        return "noted; the state stays"
    if target == state:
        return "entered anew"
    return " or ".join(f"`{place}`" for place in _places(target))
