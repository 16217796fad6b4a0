"""Answers that no cloud should give, found by tests/fuzz: each names its seed and what came of it before."""

from __future__ import annotations

from typing import Any

import pytest
from tests.devices.canned import canned_cloud
from tests.devices.trying import VIN, Tried, build, car_of, end_of, try_verb

from unlatch.clock import Clock, monotonic_s
from unlatch.devices.base import End, Example, Reply, Verb
from unlatch.devices.catalogue import find_makers
from unlatch.devices.oauth import Desk
from unlatch.errors import DeviceError
from unlatch.settings import OAuthClient

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


AWAY = ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")


@pytest.mark.parametrize("time", AWAY)
async def test_a_time_that_is_none_in_utc_is_not_told(time: str) -> None:
    """Seed 2: an OverflowError went through the contract."""
    lock, lid = {"value": "LOCKED", "timestamp": time}, {"value": "CLOSED", "timestamp": time}
    end = await tried("volvo", Verb.READ, doors(centralLock=lock, tailGate=lid))
    assert (end.end, end.code) == (End.UNKNOWN, "unexpected_answer")


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 4000])
async def test_a_number_that_is_too_large_for_one_is_not_told(number: str) -> None:
    """Seed 1: an OverflowError went through the contract, from a position and from a time until."""
    place = f'{{"data":{{"geometry":{{"coordinates":[{number},{number}]}}}}}}'
    looked = await tried("volvo", Verb.READ, doors(), Reply(to="GET /location/", body=place))
    assert looked.reading is not None
    assert looked.reading.position is None
    ready = f'{{"data":{{"invokeStatus":"COMPLETED","readyToUnlockUntil":{number}}}}}'
    assert (await tried("volvo", Verb.UNLOCK, Reply(to="POST /", body=ready))).end is End.DONE
    twin = f'{{"telemetry":{{"data":{{"session":{{"ts":"{AT}"}},"velocity":{{"spdInKph":{number}}}}}}}}}'
    told = await tried("onstar", Verb.READ, Reply(to=TWIN, body=twin), account_kind="newer")
    assert told.reading is not None
    assert told.reading.is_moving is None
    run = {"commandResponse": {"status": "success", "body": {"timestamp": AT, "speed": {"value": "#"}}}}
    body = str(run).replace("'", '"').replace('"#"', number)
    classic = await tried("onstar", Verb.READ, Reply(to="POST /api/", body=body), account_kind="classic")
    assert classic.reading is not None
    assert classic.reading.is_moving is None


DATES = (
    "Sun, 22 Nov 99999999999 10:00:00 GMT",
    "Sun, 22 Nov 2026 10:00:00 +99999999999",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
)


@pytest.mark.parametrize("date", DATES)
async def test_a_date_that_can_not_be_reckoned_with_breaks_nothing(date: str) -> None:
    """Seed 1, case 104: an OverflowError went through the contract."""
    looked = state()
    dated = Reply(to=looked.to, body=looked.body, headers={"date": date})
    end = await tried("home_assistant", Verb.READ, dated)
    assert end.end in (End.DONE, End.UNKNOWN)
    later = Reply(to="POST /", status=429, body={}, headers={"retry-after": date})
    end = await tried("volvo", Verb.LOCK, later)
    assert (end.end, end.code) == (End.NOT_SENT, "rate_limited")


async def test_a_context_whose_id_is_no_text_is_none() -> None:
    """Seed 1: a TypeError went through the contract, after the unlock had left."""
    told = {"entity_id": LOCK, "state": "unlocked", "attributes": {}, "context": {"id": 7}}
    replies = (
        Reply(to="GET /api/websocket", status=404, body={}),
        state(),
        Reply(to="POST /api/services/lock/unlock", body=[told]),
    )
    end = await tried("home_assistant", Verb.UNLOCK, *replies)
    assert (end.end, end.code) == (End.UNKNOWN, "pending")


@pytest.mark.parametrize("entity", ["lock.other_door", None, 0, ["lock.front_door"]])
async def test_another_door_s_state_is_not_this_one_s(entity: Any) -> None:
    """Seed 1, case 87 (S7): whatever entity an answer was about, it was taken for the one that was asked for."""
    end = await tried("home_assistant", Verb.READ, state(entity_id=entity))
    assert (end.end, end.code) == (End.UNKNOWN, "unexpected_answer")
    contact = state(CONTACT, "off", entity_id=entity)
    looked = await tried("home_assistant", Verb.READ, state(), contact, contact=CONTACT)
    assert looked.reading is not None
    assert (looked.reading.is_locked, looked.reading.is_open) == (True, None)


@pytest.mark.parametrize("attributes", [None, [], "{}", {"assumed_state": "true"}, {"assumed_state": 1}])
async def test_a_lock_that_may_be_assumed_is_not_told(attributes: Any) -> None:
    """Seed 1, cases 270 and 434: only a `true` of the very type kept an assumed lock from reading as locked."""
    looked = await tried("home_assistant", Verb.READ, state(attributes=attributes))
    assert looked.reading is None or looked.reading.is_locked is None
    cover = state("cover.garage_door", "closed", attributes=attributes)
    looked = await tried("home_assistant", Verb.READ, cover, name="cover.garage_door")
    assert looked.reading is None or (looked.reading.is_locked, looked.reading.is_open) == (None, None)


@pytest.mark.parametrize("word", [None, 7, ["locked"], {"id": "01JOURS"}])
async def test_a_state_that_is_no_text_is_not_the_one_before_under_our_context(word: Any) -> None:
    """Seed 2, case 8772: the old word was kept and the new context taken, so that a lock's end was told by nobody."""
    context = {"id": "01JOURS", "parent_id": None, "user_id": None}
    stood, told = ({"s": "locked", "a": {}, "c": "01JOTHER"}, {"s": word, "c": "01JOURS"})
    replies = (
        Reply(to="GET /api/websocket", status=101, body=[{"type": "auth_required"}]),
        Reply(to="WS auth", body=[{"type": "auth_ok"}]),
        Reply(to="WS subscribe_entities", body=[{"id": 1, "type": "event", "event": {"a": {LOCK: stood}}}]),
        Reply(
            to="WS call_service",
            body=[
                {"id": 1, "type": "event", "event": {"c": {LOCK: {"+": told}}}},
                {"id": 2, "type": "result", "success": True, "result": {"context": context}},
            ],
        ),
    )
    end = await tried("home_assistant", Verb.LOCK, *replies)
    assert (end.end, end.code) == (End.UNKNOWN, "offline")


def twin(**changes: Any) -> Reply:
    told = {
        "closures": {"trunk": {"lockState": "LOCKED", "lidState": "CLOSED", "ts": AT}},
        "velocity": {"spdInKph": 0},
        "session": {"ts": "2026-11-22T10:30:00Z"},
        **changes,
    }
    return Reply(to=TWIN, body={"telemetry": {"data": told}})


@pytest.mark.parametrize("seen_at", [None, "now", 0])
async def test_a_trunk_without_its_own_time_is_not_good_news(seen_at: Any) -> None:
    """Seed 1 (S5): it was dated by the session, which tells when the cloud last heard of anything."""
    trunk = {"lockState": "LOCKED", "lidState": "CLOSED", "ts": seen_at}
    looked = await tried("onstar", Verb.READ, twin(closures={"trunk": trunk}), account_kind="newer")
    assert looked.reading is not None
    assert (looked.reading.is_locked, looked.reading.is_open) == (None, None)
    trunk = {"lockState": "UNLOCKED", "lidState": "OPEN", "ts": seen_at}
    looked = await tried("onstar", Verb.READ, twin(closures={"trunk": trunk}), account_kind="newer")
    assert looked.reading is not None
    assert (looked.reading.is_locked, looked.reading.is_open) == (False, True), "bad news is believed"


async def test_a_lid_without_its_own_time_is_not_seen_closed() -> None:
    """Seed 1: it borrowed the lock's."""
    looked = await tried("volvo", Verb.READ, doors(tailGate={"value": "CLOSED"}))
    assert looked.reading is not None
    assert (looked.reading.is_locked, looked.reading.is_open) == (True, None)


@pytest.mark.parametrize("speed", [-1, -0.5, "0"])
async def test_a_speed_that_can_not_be_is_not_parked(speed: Any) -> None:
    """Seed 1: a negative speed read as parked."""
    looked = await tried("onstar", Verb.READ, twin(velocity={"spdInKph": speed}), account_kind="newer")
    assert looked.reading is not None
    assert looked.reading.is_moving is None


@pytest.mark.parametrize("speed", ["-1", "0_0", "\u0660", " 0", "nan", "-0.1"])
async def test_a_text_that_is_no_plain_number_is_no_speed(speed: str) -> None:
    """Seed 1: whatever Python takes for a number was taken for one; "0_0" read as parked."""
    body = {"timestamp": AT, "speed": {"value": speed}}
    replies = Reply(to="POST /api/", body={"commandResponse": {"status": "success", "body": body}})
    looked = await tried("onstar", Verb.READ, replies, account_kind="classic")
    assert looked.reading is not None
    assert looked.reading.is_moving is None


REFUSING = (400, 401, 403, 404, 409, 418, 429, 451, 501)
RUN = {"status": "IN_PROGRESS", "url": "{base}/veh/cmd/v3/requests/1", "requestId": "r1"}
SAID: dict[str, list[Any]] = {
    "volvo": [{"data": {"invokeStatus": word}} for word in ("COMPLETED", "DELIVERED", "SENT", "TIMEOUT")],
    "onstar": [RUN, {**RUN, "status": "SUCCESS"}, {"commandResponse": {"status": "inProgress"}}],
    "home_assistant": [[], [state(word="unlocked").body]],
}


@pytest.mark.parametrize("status", REFUSING)
@pytest.mark.parametrize("maker", SAID)
async def test_a_refusal_that_says_it_was_taken_on_is_none(maker: str, status: int) -> None:
    """Seed 1, cases 196, 566 and 741 (S2): the status was believed, and the unlock might have been sent again."""
    for body in SAID[maker]:
        replies = [
            Reply(to="GET /api/websocket", status=404),
            state(),
            Reply(to="POST /", status=status, body=body),
        ]
        for account_kind in MAKERS[maker].account_kinds or (None,):
            end = await tried(maker, Verb.UNLOCK, *replies, account_kind=account_kind)
            assert (end.end, end.code) == (End.UNKNOWN, "contradiction"), body


@pytest.mark.parametrize("success", [None, 0, "false", [], "missing"])
async def test_a_result_that_is_no_failure_refuses_nothing(success: Any) -> None:
    """Seed 1 (S2): an error beside a `success` that was not `false` counted as surely not done."""
    result = {"id": 2, "type": "result", "success": success, "error": {"code": "not_found", "message": ""}}
    if success == "missing":
        del result["success"]
    stood = {
        "id": 1,
        "type": "event",
        "event": {"a": {LOCK: {"s": "locked", "a": {}, "c": "01J", "lc": 0.0}}},
    }
    replies = (
        Reply(to="GET /api/websocket", status=101, body=[{"type": "auth_required"}]),
        Reply(to="WS auth", body=[{"type": "auth_ok"}]),
        Reply(to="WS subscribe_entities", body=[{"id": 1, "type": "result", "success": True}, stood]),
        Reply(to="WS call_service", body=[result]),
    )
    end = await tried("home_assistant", Verb.UNLOCK, *replies)
    assert (end.end, end.code) == (End.UNKNOWN, "unknown")


@pytest.mark.parametrize("maker", ["volvo", "home_assistant", "onstar"])
async def test_a_reading_is_never_rejected(maker: str) -> None:
    """Seed 1: the contract knows no such end of a reading; a 409, or a position that was not had, made one."""
    conflict = Reply(to="GET /", status=409, body={})
    end = await tried(maker, Verb.READ, conflict, account_kind="newer" if maker == "onstar" else None)
    assert (end.end, end.code) == (End.NOT_SENT, "unsafe_state")
    failed = {"commandResponse": {"status": "failure", "body": {"error": {"code": "ONS-216"}}}}
    end = await tried("onstar", Verb.READ, Reply(to="POST /api/", body=failed), account_kind="classic")
    assert (end.end, end.code) == (End.NOT_SENT, "offline")


@pytest.mark.parametrize(
    "url", ["http://[", "//[::1/x", "http://x]/", "{base}/veh/\ud7ff", "http://\u2100.x/"]
)
async def test_a_status_address_that_is_none_is_not_asked(url: str) -> None:
    """Seed 1, case 5573: a ValueError went through the contract, after the unlock had left."""
    end = await tried(
        "onstar", Verb.UNLOCK, Reply(to="POST /", body={**RUN, "url": url}), account_kind="newer"
    )
    assert end.end is End.UNKNOWN


async def refresh_end(status: int, body: Any) -> tuple[End, str]:
    """How the refresh of a token ends that is answered so."""
    authorization = MAKERS["volvo"].authorization
    assert authorization is not None
    async with canned_cloud([Reply(to="POST /as/token", status=status, body=body)]) as cloud:
        client = OAuthClient(client_id="c", client_secret="s")
        desk = Desk(
            name="volvo", authorization=authorization, address=cloud.base, client=client, clock=Clock()
        )
        with pytest.raises(DeviceError) as caught:
            await desk.refresh("r0", first_byte_by_s=monotonic_s() + 5.0)
        await desk.close()
    return end_of(caught.value), caught.value.code


@pytest.mark.parametrize("status", [400, 401, 429])
@pytest.mark.parametrize("error", [None, "invalid_grant", "invalid_client"])
@pytest.mark.parametrize("token", ["a1", {"value": "a1"}, 7])
async def test_tokens_beside_a_refusal_are_no_refusal(status: int, error: str | None, token: Any) -> None:
    """Seed 2, case 3959: the status was believed, and the old token, which may be spent, would have been sent again."""
    told = {"access_token": token, "refresh_token": "r1", "token_type": "Bearer", "error": error}
    assert await refresh_end(status, told) == (End.UNKNOWN, "contradiction")


@pytest.mark.parametrize("status", [408, 422, 425])
async def test_a_status_that_leaves_it_open_says_of_a_token_no_more_than_of_a_command(status: int) -> None:
    """Seed 1, case 121422: it was taken for surely not used, which `Link.refusal` does not."""
    assert await refresh_end(status, {}) == (End.UNKNOWN, "unexpected_answer")
    assert await refresh_end(status, {"error": "invalid_client"}) == (End.NOT_SENT, "client_refused")


@pytest.mark.parametrize("issuer", ["http://[", "//x]", "http://\u2100.x/", ""])
async def test_an_issuer_that_is_no_address_is_another_s(issuer: str) -> None:
    """By reading, after case 5573: the page that an owner comes back to failed by its `iss`."""
    authorization = MAKERS["volvo"].authorization
    assert authorization is not None
    client = OAuthClient(client_id="c", client_secret="s")
    desk = Desk(
        name="volvo", authorization=authorization, address="https://x.example", client=client, clock=Clock()
    )
    assert not desk.is_own_issuer(issuer)
    assert desk.is_own_issuer("https://x.example/as")
    await desk.close()
