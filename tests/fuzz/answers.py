"""Answers that no cloud should give, to the makers' real code over real HTTP: each ends in a value or an error of ours.

    python -m tests.fuzz.answers SEED NUMBER      one case again: what was said, and what was made of it

Nothing is believed that was not said: good news of a closure, a command done, a command surely not done (S2, S5).
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.devices.canned import listening
from tests.devices.trying import TOKEN, build, car_of, check_redacted, end_of
from tests.fuzz.garbling import Liar, Spoilt, spoil
from tests.fuzz.hearing import judge
from tests.fuzz.recorded import RECORDED, Recorded

from unlatch.clock import Clock
from unlatch.devices.base import Car, Maker, Sending, Verb
from unlatch.devices.oauth import Desk
from unlatch.errors import DeviceError
from unlatch.settings import OAuthClient

AT_ONCE = 96
LONGEST_S = 20.0  # of one case beside as many others: more is a hang
FACTOR = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one case: a value, or an error of the contract."""

    value: Any = None
    error: DeviceError | None = None
    times_sent: int = 0


async def ask(recorded: Recorded, maker: Maker, car: Car, address: str) -> Outcome:
    """Ask what was asked when it was recorded."""
    sent: list[None] = []
    sending = Sending(on_sent=lambda: sent.append(None))
    try:
        value = await _ask(recorded, maker, car, address, sending)
    except DeviceError as error:
        end_of(error)
        return Outcome(error=error, times_sent=len(sent))
    return Outcome(value=value, times_sent=len(sent))


async def _ask(recorded: Recorded, maker: Maker, car: Car, address: str, sending: Sending) -> Any:
    match recorded.verb:
        case Verb.UNLOCK:
            return await maker.unlock(car, sending)
        case Verb.LOCK:
            return await maker.lock(car, sending)
        case Verb.READ:
            return await maker.read(car, wants_position=recorded.example.wants_position)
        case Verb.FLASH:
            return await maker.flash(car)
        case Verb.RING:
            return await maker.ring(car)
        case Verb.PLAY:
            return await maker.play(car, (True, False), 0.1)
        case "probe":
            return await maker.probe(car)
        case "list_cars":
            return await maker.list_cars(car.secrets)
    assert maker.authorization is not None
    client = OAuthClient(client_id="c", client_secret="s")
    desk = Desk(
        name=maker.name,
        authorization=maker.authorization,
        address=address,
        client=client,
        clock=maker.link.clock,
    )
    try:
        match recorded.verb:
            case "exchange":
                return await desk.exchange("code", verifier="v", redirect_uri="http://x.example/")
            case "refresh":
                return await desk.refresh(TOKEN, first_byte_by_s=time.monotonic() + LONGEST_S)
            case _:
                return await desk.revoke(TOKEN)
    finally:
        await desk.close()


def draw(seed: int, number: int) -> tuple[Recorded, list[Spoilt]]:
    """What was recorded, and what the cloud says instead."""
    lot = random.Random(f"{seed}:{number}")
    recorded = lot.choice(RECORDED)
    return recorded, spoil(lot, recorded.example.replies)


async def try_answer(seed: int, number: int) -> tuple[str, list[str], Liar]:
    """What one case was taken for, what went wrong in it, and the cloud with what it said."""
    recorded, replies = draw(seed, number)
    liar = Liar(replies)
    wrong, taken_for = [], "broken"
    async with listening(liar) as base:
        liar.base = base
        maker = build(recorded.kind, base, Clock(factor=FACTOR))
        car = car_of(recorded.kind, recorded.example.account_kind, recorded.example)
        try:
            async with asyncio.timeout(LONGEST_S):
                outcome = await ask(recorded, maker, car, base)
            taken_for = recorded.name_of(outcome.value, outcome.error)
            wrong += judge(recorded, car, liar.said, outcome.value, outcome.error, maker.link.clock.now())
            if outcome.error is not None:
                check_redacted(outcome.error, car, base)
            if recorded.verb == Verb.UNLOCK and outcome.times_sent > 1:
                wrong.append(f"it left {outcome.times_sent} times")
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            wrong.append(repr(error))
        finally:
            await maker.link.close()
            while liar.talks:  # nobody is there any more, so that each ends
                await asyncio.wait(liar.talks)
    return taken_for, [f"{seed} {number} ({recorded.title}): {one}" for one in wrong], liar


def try_answers(seed: int, count: int) -> dict[str, Any]:
    """Try so many; what they were taken for, and what went wrong."""
    return asyncio.run(_try_answers(seed, count))


async def _try_answers(seed: int, count: int) -> dict[str, Any]:
    kinds, broken, numbers = Counter[str](), list[str](), iter(range(count))

    def note(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, asyncio.CancelledError):  # of a cloud that nobody asks any more
            broken.append(f"{seed}, in a callback: {context.get('message')}: {error!r}")

    asyncio.get_running_loop().set_exception_handler(note)

    async def go_on() -> None:
        for number in numbers:
            taken_for, wrong, _ = await try_answer(seed, number)
            kinds[taken_for] += 1
            broken.extend(wrong)

    await asyncio.gather(*(go_on() for _ in range(AT_ONCE)))
    return {"seed": seed, "count": count, "taken_for": dict(sorted(kinds.items())), "broken": broken}


def main() -> int:
    """One case again."""
    seed, number = (int(word) for word in sys.argv[1:])
    recorded, replies = draw(seed, number)
    taken_for, wrong, liar = asyncio.run(try_answer(seed, number))
    print(f"{recorded.title}\n\nrecorded:")
    print(*recorded.example.replies, "", "answers:", *replies, "", "asked:", *liar.asked, sep="\n")
    print(f"\ntaken for: {taken_for}", *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
