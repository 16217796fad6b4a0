"""Answers that no cloud should give, found by tests/fuzz: each names its seed and what came of it before."""

from __future__ import annotations

from typing import Any

from tests.devices.canned import canned_cloud
from tests.devices.trying import VIN, Tried, build, car_of, try_verb

from unlatch.clock import Clock
from unlatch.devices.base import End, Example, Reply, Verb
from unlatch.devices.catalogue import find_makers

MAKERS = find_makers()
DOORS, TWIN = "GET /connected-vehicle/v2/vehicles/", "GET /veh/datadelivery/digitaltwin/v1/vehicles/"
LOCK, CONTACT = "lock.front_door", "binary_sensor.front_door"
AT = "2026-11-22T10:00:00Z"


async def tried(
    maker: str, verb: Verb, *replies: Reply, account_kind: str | None = None, **form: str
) -> Tried:
    """What the maker makes of these answers; any error that is not the contract's goes through."""
    kind = MAKERS[maker]
    name = form.pop("name", LOCK if maker == "home_assistant" else VIN)
    example = Example(title="", verb=verb, replies=replies, name=name, told=form, source="tests/fuzz")
    async with canned_cloud(replies) as cloud:
        made = build(kind, cloud.base, Clock(factor=1000.0))
        try:
            return await try_verb(made, car_of(kind, account_kind, example), verb, wants_position=True)
        finally:
            await made.link.close()


def doors(**changes: Any) -> Reply:
    told = {
        "centralLock": {"value": "LOCKED", "timestamp": AT},
        "tailGate": {"value": "CLOSED", "timestamp": AT},
        **changes,
    }
    return Reply(to=DOORS, body={"data": told})


def state(entity: str = LOCK, word: str = "locked", **changes: Any) -> Reply:
    context = {"id": "01JOURS", "parent_id": None, "user_id": None}
    body = {"entity_id": entity, "state": word, "attributes": {}, "context": context, "last_changed": AT}
    return Reply(to=f"GET /api/states/{entity}", body={**body, **changes})


async def test_a_cloud_that_names_a_lock_twice_has_not_told_it() -> None:
    """Seed 1, case 57: the last of two was taken, so that LOCKED could follow UNLOCKED."""
    lock = '"centralLock":{"value":"UNLOCKED","value":"LOCKED","timestamp":"2026-11-22T10:00:00Z"}'
    end = await tried("volvo", Verb.READ, Reply(to=DOORS, body=f'{{"data":{{{lock}}}}}'))
    assert (end.end, end.code) == (End.UNKNOWN, "unexpected_answer")


async def test_a_refusal_that_is_said_twice_otherwise_is_none() -> None:
    """Seed 1, case 319: COMPLETED and REJECTED in one answer were taken for surely not done (S2)."""
    answer = '{"data":{"invokeStatus":"COMPLETED","invokeStatus":"REJECTED"}}'
    end = await tried("volvo", Verb.UNLOCK, Reply(to="POST /", body=answer))
    assert (end.end, end.code) == (End.UNKNOWN, "unexpected_answer")
