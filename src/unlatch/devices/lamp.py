"""A lamp of the home plays a pattern that was drawn by lot, so that a camera's picture can show that it lives.

One WebSocket to the hub that speaks Home Assistant's API: each turn of the pattern is one service call, handed to the
socket at its own moment, whether the one before was answered or not: a lamp that is slow is so for all of them, and
whoever looks for the pattern allows for that. A lamp has no closure's rules: what came of a turn is not asked for, and
the picture alone says whether it was played.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import count

import msgspec

from unlatch.clock import monotonic_s
from unlatch.devices.base import Car, Verb
from unlatch.devices.entities import ERRORS, Talk
from unlatch.devices.link import Link
from unlatch.devices.wire import Cut, WireError
from unlatch.errors import CommandUnknown, ConsentLost, DeviceUnsupported

READY_WITHIN_S = 3.0
RESTORED_WITHIN_S = 1.0
MOST_CHIPS = 64
SHORTEST_CHIP_S, LONGEST_CHIP_S = 0.1, 2.0
LATE = 0.5  # of a chip: a turn that leaves later than that is another pattern
FIRST_CALL = 2  # number 1 is the subscription


async def play_lamp(
    link: Link, car: Car, lamp: str, token: str, *, chips: Sequence[bool], chip_s: float
) -> float:
    """Play; see `base.Maker.play`."""
    if not 0 < len(chips) <= MOST_CHIPS or not SHORTEST_CHIP_S <= chip_s <= LONGEST_CHIP_S:
        raise link.not_sent(Verb.PLAY, "bad_request")
    try:
        async with link.conversation(car, Verb.PLAY, "/api/websocket", within_s=READY_WITHIN_S) as socket:
            talk = Talk(socket)
            if not await talk.begin(token, [lamp], monotonic_s() + READY_WITHIN_S):
                raise ConsentLost(link.text(Verb.PLAY, "auth_expired"), code="auth_expired")
            was_on = _read(link, talk, lamp)
            playing = _Playing(link, talk, lamp)
            try:
                return await playing.play(chips, chip_s)
            finally:
                with contextlib.suppress(WireError):  # there is nobody left to say it to
                    await playing.end(is_on=was_on)
    except WireError as error:
        raise link.lost(car, Verb.PLAY, error) from None


def _read(link: Link, talk: Talk, lamp: str) -> bool:
    """Whether the lamp shines now. Raises where it is not there, or can't be told."""
    state = talk.states.get(lamp)
    if state is None:
        raise DeviceUnsupported(link.text(Verb.PLAY, "not_supported"), code="not_supported")
    if state.word not in ("on", "off"):
        raise link.not_sent(Verb.PLAY, "offline")
    return state.word == "on"


class _Playing:
    """The turns of one lamp on one WebSocket."""

    def __init__(self, link: Link, talk: Talk, lamp: str) -> None:
        self._link, self._talk, self._lamp = link, talk, lamp
        self._numbers = count(FIRST_CALL)

    async def play(self, chips: Sequence[bool], chip_s: float) -> float:
        """All chips, each for as long; the moment at which the first left."""
        begun_s, shows = monotonic_s(), None
        for number, is_on in enumerate(chips):
            due_s = begun_s + number * chip_s
            await self._hear_until(due_s)
            if monotonic_s() - due_s > LATE * chip_s:
                raise self._link.unknown(Verb.PLAY, "too_late")
            if is_on is not shows:
                self.turn(is_on=is_on)
                shows = is_on
        await self._hear_until(begun_s + len(chips) * chip_s)
        return begun_s

    async def end(self, *, is_on: bool) -> None:
        """As it was before. Heard of before we hang up, if it comes soon: a farewell must not overtake it."""
        number = self.turn(is_on=is_on)
        until_s = monotonic_s() + RESTORED_WITHIN_S
        while (await self._talk.hear(until_s - monotonic_s())).get("id") != number:
            pass

    def turn(self, *, is_on: bool) -> int:
        """Hand one turn to the socket; its number. Raises `WireError`: it has not left."""
        number = next(self._numbers)
        call = {
            "id": number,
            "type": "call_service",
            "domain": "light",
            "service": "turn_on" if is_on else "turn_off",
            "service_data": {"transition": 0},  # taken out by the hub where the lamp knows none
            "target": {"entity_id": self._lamp},
        }
        self._talk.socket.send(msgspec.json.encode(call))
        return number

    async def _hear_until(self, at_s: float) -> None:
        """Take in what comes until then. Raises the DeviceError of a turn that was refused."""
        while (left_s := at_s - monotonic_s()) > 0:
            try:
                message = await self._talk.hear(left_s)
            except WireError as error:
                if error.cut is Cut.NO_ANSWER:
                    return
                raise
            if message.get("type") == "result" and message.get("success") is not True:
                error_code = message.get("error")
                word = error_code.get("code") if isinstance(error_code, dict) else None
                kind, code = ERRORS.get(str(word), (CommandUnknown, "unknown"))
                raise kind(self._link.text(Verb.PLAY, code), code=code)
