"""Try a maker: do a verb, and tell which of the four ends it had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.devices.canned import canned_cloud

from unlatch.clock import Clock
from unlatch.devices.base import Car, End, Example, Maker, Sending, Verb
from unlatch.devices.link import Link
from unlatch.domain.reading import Reading
from unlatch.errors import CommandNotSent, CommandRejected, CommandUnknown, DeviceError

VIN = "1G1ZD5ST0JF000001"
TOKEN = "a-very-secret-token"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of it."""

    end: End
    code: str | None = None
    reading: Reading | None = None
    error: DeviceError | None = None
    times_sent: int = 0


def build(kind: type[Maker], address: str, clock: Clock) -> Maker:
    """The maker at that address, with a link of its own."""
    return kind(Link(name=kind.name, address=address, clock=clock, commands_a_minute=kind.commands_a_minute))


def car_of(
    maker: type[Maker] | Maker, account_kind: str | None = None, example: Example | None = None
) -> Car:
    """A car whose secrets can be looked for in messages, or the door that an example is about."""
    secrets = {field.name: f"{TOKEN}-{field.name}" for field in maker.form_fields if field.is_required}
    if example is not None:
        secrets |= example.told
    name = (example.name if example is not None else None) or VIN
    return Car(maker=maker.name, vin=name, secrets=secrets, account_kind=account_kind)


async def try_verb(maker: Maker, car: Car, verb: Verb, *, wants_position: bool = False) -> Tried:
    """Do `verb` once."""
    sent: list[None] = []
    sending = Sending(on_sent=lambda: sent.append(None))
    reading = None
    try:
        match verb:
            case Verb.UNLOCK:
                await maker.unlock(car, sending)
            case Verb.LOCK:
                await maker.lock(car, sending)
            case Verb.FLASH:
                await maker.flash(car)
            case Verb.RING:
                await maker.ring(car)
            case Verb.READ:
                reading = await maker.read(car, wants_position=wants_position)
    except DeviceError as error:
        return Tried(end=end_of(error), code=error.code, error=error, times_sent=len(sent))
    return Tried(end=End.DONE, reading=reading, times_sent=len(sent))


def end_of(error: DeviceError) -> End:
    """The end that an error tells; each error belongs to exactly one."""
    kinds: Sequence[tuple[type[DeviceError], End]] = (
        (CommandNotSent, End.NOT_SENT),
        (CommandRejected, End.REJECTED),
        (CommandUnknown, End.UNKNOWN),
    )
    ends = [end for kind, end in kinds if isinstance(error, kind)]
    assert len(ends) == 1, error
    return ends[0]


async def check_example(kind: type[Maker], example: Example) -> None:
    """The maker understands the example as it says, and its messages give nothing away."""
    clock = Clock(factor=1000.0)
    async with canned_cloud(example.replies) as cloud:
        maker = build(kind, cloud.base, clock)
        try:
            car = car_of(kind, example.account_kind, example)
            tried = await try_verb(maker, car, example.verb, wants_position=example.wants_position)
        finally:
            await maker.link.close()
    assert (tried.end, tried.code) == (example.end, example.code), (example.title, cloud.asked)
    assert tried.reading == example.reading, example.title
    posts = [line for line in cloud.asked if line.startswith(("POST", "WS call_service"))]
    assert len(posts) == len(set(posts)), "a command was posted twice"
    assert len(posts) == tried.times_sent or example.verb in (Verb.FLASH, Verb.RING, Verb.LOCK), (
        "told as sent, and not"
    )
    if example.verb is Verb.UNLOCK:
        assert len(posts) == 1 or (example.end is End.NOT_SENT and not posts), "an unlock leaves once (S2)"
    if tried.error is not None:
        check_redacted(tried.error, car, cloud.base)


def check_redacted(error: BaseException, car: Car, base: str) -> None:
    """Neither the error nor what caused it shows VIN, secrets or the cloud's address."""
    seen: BaseException | None = error
    while seen is not None:
        for text in (str(seen), repr(seen), repr(car)):
            assert car.vin not in text
            assert base.removeprefix("http://") not in text
            assert not any(secret in text for secret in car.secrets.values())
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
