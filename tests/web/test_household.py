"""Several people share a place: every cell of the table of rights, every door that opens and shuts with membership."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pytest
from tests.web.conftest import Caller, Tenant, make_tenant
from tests.web.people import add_consignee, add_member, deliver, fetch, invite
from tests.web.test_visits import save_reading, scan, tell

from unlatch.domain.household import MEANINGS, MOST_MEMBERS, MOST_OPEN_INVITATIONS, RIGHTS, Right, Role
from unlatch.domain.visit import Fact
from unlatch.flow.homes import HUB_ADDRESS
from unlatch.flow.platform import Platform
from unlatch.web.app import TABLES

JOIN = "/v1/me/households/join"


def place_path(tenant: Tenant) -> str:
    return f"/v1/me/access_points/{tenant.access_point_id}"


# ---- the table of rights


async def see(_: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    return await asker.get(f"{place_path(tenant)}/household")


async def block(_: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    return await asker.post(f"{place_path(tenant)}/block")


async def unblock(_: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    assert (await asker.post(f"{place_path(tenant)}/block")).status_code == 200
    return await asker.post(f"{place_path(tenant)}/unblock")


async def unblock_others(_: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    other = await add_member(tenant, "Ola Other")
    assert (await other.post(f"{place_path(tenant)}/block")).status_code == 200
    return await asker.post(f"{place_path(tenant)}/unblock")


async def rate(platform: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    visit_id = await deliver(platform, tenant)
    return await asker.post(f"/v1/me/visits/{visit_id}/rating", {"stars": 4})


async def claim(platform: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    visit_id = await deliver(platform, tenant)
    return await asker.post(f"/v1/me/visits/{visit_id}/claims", {"kind": "other", "words": "see"})


async def pursue(platform: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    other = await add_member(tenant, "Ola Other")
    visit_id = await deliver(platform, tenant)
    made = await other.make(f"/v1/me/visits/{visit_id}/claims", {"kind": "other", "words": "see"})
    return await asker.post(f"/v1/me/claims/{made['id']}/withdraw")


async def leave(_: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    return await asker.post(f"{place_path(tenant)}/leave")


async def let_in(_: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    return await asker.post(f"{place_path(tenant)}/invitations")


async def remove(_: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    other = await add_member(tenant, "Ola Other")
    return await asker.post(f"{place_path(tenant)}/members/{other.id}/remove")


async def hand_over(_: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    other = await add_member(tenant, "Ola Other")
    return await asker.post(f"{place_path(tenant)}/owner", {"consignee_id": other.id})


async def take_over(_: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    return await asker.post(f"{place_path(tenant)}/take_over", {"agrees": True})


async def check_range(_: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    return await asker.post(f"/v1/me/stops/{tenant.stop_id}/check")


async def extend(platform: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    # It is ten in the morning at the address, or eleven, so that the evening is far: no zone is 13 hours behind.
    hours = min(platform.clock.now().hour - 10, 12)
    zone = f"Etc/GMT{'+' if hours >= 0 else '-'}{abs(hours)}"
    await fetch(platform, "UPDATE access_point SET time_zone = %s RETURNING 1", zone)
    until = (await fetch(platform, "SELECT window_until + interval '1 hour' FROM stop"))[0][0]
    return await asker.post(f"/v1/me/stops/{tenant.stop_id}/extend", {"until": until.isoformat()})


async def redirect(_: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    return await asker.post(f"/v1/me/stops/{tenant.stop_id}/redirect", {"fallback": "neighbour"})


async def link(platform: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    # No car is hung on it here: who may gets as far as being told that there is no such account of theirs.
    answer = await asker.post(f"{place_path(tenant)}/relink", {"account_id": "mac_none"})
    if answer.status_code == 404 and "account" in answer.json()["detail"]:
        return httpx.Response(200)
    return answer


async def watch(platform: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    await save_reading(platform, tenant.access_point_id)
    visit = await scan(tenant)
    return await asker.post(f"/v1/visits/{visit['id']}/tickets", {"kind": "player"})


async def let_watch(_: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    other = await add_member(tenant, "Ola Other")
    return await asker.post(f"{place_path(tenant)}/members/{other.id}/watching", {"may_watch": True})


async def _record(platform: Platform, tenant: Tenant) -> str:
    """A visit of which something is recorded, as far as rows go."""
    visit_id = await deliver(platform, tenant)
    await fetch(
        platform,
        "INSERT INTO camera (id, access_point_id, maker, name, sealed, created_at) "
        "VALUES ('cam_1', %s, 'rtsp', 'hall', '', now()) RETURNING 1",
        tenant.access_point_id,
    )
    await fetch(
        platform,
        "INSERT INTO recording (id, visit_id, camera_id, state, folder, begun_at) "
        "VALUES ('rec_1', %s, 'cam_1', 'ending', '', now()) RETURNING 1",
        visit_id,
    )
    return visit_id


async def erase_clips(platform: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    return await asker.post(f"/v1/me/visits/{await _record(platform, tenant)}/clips/erase")


async def share_clips(platform: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    visit_id = await _record(platform, tenant)
    return await asker.post(f"/v1/me/visits/{visit_id}/clip_passes", {"reader": "operator"})


async def make_it_a_home(platform: Platform, tenant: Tenant) -> None:
    await fetch(
        platform,
        "INSERT INTO home (access_point_id, form, rings_first) VALUES (%s, 'door', true) "
        "ON CONFLICT DO NOTHING RETURNING 1",
        tenant.access_point_id,
    )


async def set_home(platform: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    await make_it_a_home(platform, tenant)
    return await asker.post(f"{place_path(tenant)}/home", {"is_pet_loose": True})


async def set_cameras(platform: Platform, tenant: Tenant, asker: Caller) -> httpx.Response:
    await make_it_a_home(platform, tenant)
    sealed = platform.vault.seal({HUB_ADDRESS: "http://127.0.0.1:9"}, tenant.access_point_id)
    await fetch(
        platform,
        "UPDATE vehicle SET sealed = %s WHERE access_point_id = %s RETURNING 1",
        sealed,
        tenant.access_point_id,
    )
    given = {"maker": "rtsp", "name": "Hall", "address": "rtsps://8.8.4.4/stream"}
    added = await asker.post(f"{place_path(tenant)}/cameras", given)
    if added.status_code != 201:
        return added
    return await asker.delete(f"{place_path(tenant)}/cameras/{added.json()['id']}")


TRIES: dict[Right, Callable[[Platform, Tenant, Caller], Awaitable[httpx.Response]]] = {
    Right.SEE: see,
    Right.CHECK_RANGE: check_range,
    Right.BLOCK: block,
    Right.UNBLOCK: unblock,
    Right.UNBLOCK_OTHERS: unblock_others,
    Right.EXTEND: extend,
    Right.REDIRECT: redirect,
    Right.RATE: rate,
    Right.CLAIM: claim,
    Right.PURSUE_OTHERS_CLAIM: pursue,
    Right.LEAVE: leave,
    Right.INVITE: let_in,
    Right.REMOVE: remove,
    Right.HAND_OVER: hand_over,
    Right.LINK: link,
    Right.WATCH: watch,
    Right.LET_WATCH: let_watch,
    Right.ERASE_CLIPS: erase_clips,
    Right.SHARE_CLIPS: share_clips,
    Right.SET_HOME: set_home,
    Right.SET_CAMERAS: set_cameras,
    Right.TAKE_OVER: take_over,
}


def test_the_table_has_every_right_and_every_right_its_meaning_and_its_try() -> None:
    assert set(RIGHTS) == set(MEANINGS) == set(Right) == set(TRIES)
    assert all(RIGHTS[right] for right in Right)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("right", TRIES)
async def test_every_cell_of_the_table(platform: Platform, tenant: Tenant, right: Right, role: Role) -> None:
    member = await add_member(tenant)
    asker = tenant.consignee if role is Role.OWNER else member
    answer = await TRIES[right](platform, tenant, asker)
    if role in RIGHTS[right]:
        assert answer.status_code in (200, 201), answer.text
    else:
        assert (answer.status_code, answer.json()["type"]) == (403, "/v1/docs#problem-not_allowed"), (
            answer.text
        )


@pytest.mark.parametrize("right", TRIES)
async def test_a_stranger_has_no_right_and_learns_of_nothing(
    platform: Platform, tenant: Tenant, right: Right
) -> None:
    stranger = await add_consignee(tenant.carrier, "Sam Stranger")
    if right is Right.UNBLOCK:
        answer = await stranger.post(f"{place_path(tenant)}/unblock")
    else:
        answer = await TRIES[right](platform, tenant, stranger)
    assert (answer.status_code, answer.json()["type"]) == (404, "/v1/docs#problem-not_found"), answer.text


# ---- joining


async def test_a_member_joins_by_a_code_and_everyone_is_told_once(platform: Platform, tenant: Tenant) -> None:
    code = await invite(tenant.consignee, tenant.access_point_id)
    assert re.fullmatch(r"([A-Z2-9]{5}-){3}[A-Z2-9]{5}", code)
    kept = await fetch(platform, "SELECT code_hash, expires_at - created_at FROM invitation")
    assert code.encode() not in bytes(kept[0][0])
    assert kept[0][1] == timedelta(days=1)
    ben = await add_consignee(tenant.carrier, "Ben Brother")
    joined = await ben.make(JOIN, {"code": code.lower().replace("-", " ")})
    assert [(one["name"], one["role"], one["is_you"]) for one in joined["people"]] == [
        ("Ada Consignee", "owner", False),
        ("Ben Brother", "member", True),
    ]
    assert set(joined["your_rights"]) == {right for right, roles in RIGHTS.items() if Role.MEMBER in roles}
    told = await fetch(
        platform, "SELECT reader_id, facts->>'who' FROM notice WHERE event = 'member_joined' ORDER BY 1"
    )
    assert told == sorted((one, "Ben") for one in (tenant.consignee.id, ben.id))
    again = await ben.post(JOIN, {"code": code})
    assert again.status_code == 400, "a code works once"
    assert (await tenant.consignee.get(f"{place_path(tenant)}/invitations")).json() == {"invitations": []}


async def test_of_two_who_join_with_one_code_at_once_one_is_let_in(
    platform: Platform, tenant: Tenant
) -> None:
    code = await invite(tenant.consignee, tenant.access_point_id)
    both = [await add_consignee(tenant.carrier, name) for name in ("Ben", "Cid")]
    answers = await asyncio.gather(*(one.post(JOIN, {"code": code}) for one in both))
    assert sorted(answer.status_code for answer in answers) == [201, 400]
    assert len(await fetch(platform, "SELECT 1 FROM member")) == 1


async def test_a_wrong_an_old_a_withdrawn_and_a_used_code_say_the_same(
    platform: Platform, tenant: Tenant
) -> None:
    owner, place = tenant.consignee, place_path(tenant)
    old, withdrawn, used = [await invite(owner, tenant.access_point_id) for _ in range(3)]
    listed = (await owner.get(f"{place}/invitations")).json()["invitations"]
    assert [set(one) for one in listed] == [{"id", "created_at", "expires_at"}] * 3, "never a code"
    await fetch(
        platform, "UPDATE invitation SET expires_at = now() WHERE id = %s RETURNING 1", listed[0]["id"]
    )
    assert (await owner.delete(f"{place}/invitations/{listed[1]['id']}")).json()["is_withdrawn"] is True
    assert (await owner.delete(f"{place}/invitations/{listed[1]['id']}")).status_code == 404
    await (await add_consignee(tenant.carrier, "Ben")).make(JOIN, {"code": used})
    cid = await add_consignee(tenant.carrier, "Cid")
    bodies = []
    for code in (old, withdrawn, used, "AAAAA-AAAAA-AAAAA-AAAAA"):
        answer = await cid.post(JOIN, {"code": code})
        assert answer.status_code == 400, answer.text
        bodies.append(answer.json())
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["errors"][0]["field"] == "code"


async def test_whoever_tries_many_codes_must_wait(tenant: Tenant) -> None:
    ben = await add_consignee(tenant.carrier, "Ben")
    answers = [await ben.post(JOIN, {"code": "A" * 20}) for _ in range(12)]
    assert {answer.status_code for answer in answers[:10]} == {400}
    assert (answers[11].status_code, answers[11].headers["retry-after"]) == (429, "60")
    cid = await add_consignee(tenant.carrier, "Cid")
    assert (await cid.post(JOIN, {"code": "A" * 20})).status_code == 400, "each has a limit of their own"


@pytest.mark.parametrize("code", ["", "short", "A" * 41, "A" * 19, "é" * 20, "A" * 20 + "\x00", 7, None])
async def test_what_can_be_no_code_is_refused_by_its_field(tenant: Tenant, code: object) -> None:
    answer = await tenant.consignee.post(JOIN, {"code": code})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "code")


async def test_five_invitations_are_open_and_ten_members_are_in_at_most(tenant: Tenant) -> None:
    place = place_path(tenant)
    for number in range(MOST_MEMBERS - 1):
        await add_member(tenant, f"Person {number}")
    codes = [await invite(tenant.consignee, tenant.access_point_id) for _ in range(MOST_OPEN_INVITATIONS)]
    assert (await tenant.consignee.post(f"{place}/invitations")).status_code == 409
    late = [await add_consignee(tenant.carrier, name) for name in ("Last", "Too late")]
    answers = await asyncio.gather(
        *(one.post(JOIN, {"code": code}) for one, code in zip(late, codes, strict=False))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409], "two at once, room for one"
    people = (await tenant.consignee.get(f"{place}/household")).json()["people"]
    assert len(people) == MOST_MEMBERS + 1
    for one in (await tenant.consignee.get(f"{place}/invitations")).json()["invitations"]:
        await tenant.consignee.delete(f"{place}/invitations/{one['id']}")
    assert (await tenant.consignee.post(f"{place}/invitations")).status_code == 409, "the household is full"


async def test_whoever_is_in_already_does_not_use_a_code_up(tenant: Tenant) -> None:
    ben = await add_member(tenant)
    code = await invite(tenant.consignee, tenant.access_point_id)
    assert (await ben.post(JOIN, {"code": code})).status_code == 409
    assert (await tenant.consignee.post(JOIN, {"code": code})).status_code == 409
    cid = await add_consignee(tenant.carrier, "Cid")
    assert (await cid.post(JOIN, {"code": code})).status_code == 201


async def test_someone_of_another_carrier_shares_the_place_and_no_carrier_learns_more(
    platform: Platform, tenant: Tenant, http: httpx.AsyncClient
) -> None:
    other = await make_tenant(platform, http, "Other Post")
    code = await invite(tenant.consignee, tenant.access_point_id)
    await other.consignee.make(JOIN, {"code": code})
    visit_id = await deliver(platform, tenant)
    assert (await other.consignee.get(f"/v1/visits/{visit_id}")).status_code == 200
    assert (await other.carrier.get(f"/v1/visits/{visit_id}")).status_code == 404
    assert (await other.carrier.get(f"/v1/access_points/{tenant.access_point_id}")).status_code == 404
    assert (await tenant.carrier.get(f"/v1/consignees/{other.consignee.id}")).status_code == 404
    refused = await tenant.consignee.post(f"{place_path(tenant)}/owner", {"consignee_id": other.consignee.id})
    assert refused.status_code == 409, "the place's carrier does not know them"


async def test_a_block_by_someone_of_another_carrier_bears_their_name_among_the_household(
    platform: Platform, tenant: Tenant, http: httpx.AsyncClient
) -> None:
    """Without a name it reads as an operator's freeze."""
    other = await make_tenant(platform, http, "Other Post")
    stranger = await add_consignee(other.carrier, "Sam Stranger")
    await stranger.make(JOIN, {"code": await invite(tenant.consignee, tenant.access_point_id)})
    await stranger.make(f"{place_path(tenant)}/block")
    await stranger.make(f"{place_path(tenant)}/unblock")
    told = (await tenant.consignee.get("/v1/me/notices")).json()["notices"]
    said = {one["event"]: one["body"] for one in told}
    assert said["blocked"].startswith("Sam Stranger has blocked"), said
    assert said["unblocked"].startswith("Sam Stranger allows"), said
    assert "Sam" not in (await tenant.carrier.get("/v1/notices")).text


# ---- what a member sees, and sees no more


async def test_a_member_sees_what_the_owner_sees_and_nothing_once_removed(
    platform: Platform, tenant: Tenant
) -> None:
    ben = await add_member(tenant)
    visit_id = await deliver(platform, tenant)
    paths = [
        f"/v1/visits/{visit_id}",
        f"/v1/visits/{visit_id}/proof",
        f"/v1/visits/{visit_id}/events",
        f"{place_path(tenant)}/household",
    ]
    for path in paths:
        assert (await ben.get(path)).status_code == 200, path
    timeline = (await ben.get("/v1/me/timeline")).json()
    assert [one["visit"]["id"] for one in timeline["visits"]] == [visit_id]
    assert [(one["id"], one["role"]) for one in timeline["places"]] == [(tenant.access_point_id, "member")]
    before = len(await fetch(platform, "SELECT 1 FROM notice WHERE reader_id = %s", ben.id))
    removed = await tenant.consignee.make(f"{place_path(tenant)}/members/{ben.id}/remove")
    assert [one["name"] for one in removed["people"]] == ["Ada Consignee"]
    for path in paths:
        assert (await ben.get(path)).status_code == 404, path
    for word in ("block", "unblock", "leave", "invitations"):
        assert (await ben.post(f"{place_path(tenant)}/{word}")).status_code == 404, word
    timeline = (await ben.get("/v1/me/timeline")).json()
    assert (timeline["places"], timeline["visits"], timeline["deeds"], timeline["looks"]) == ([], [], [], [])
    told = await fetch(platform, "SELECT event FROM notice WHERE reader_id = %s ORDER BY id", ben.id)
    assert len(told) == before + 1, "told that they were removed, and nothing after that"
    await add_member(tenant, "Cid")
    assert len(await fetch(platform, "SELECT 1 FROM notice WHERE reader_id = %s", ben.id)) == before + 1


async def test_a_stream_tells_no_line_that_came_after_the_removal(platform: Platform, tenant: Tenant) -> None:
    from unlatch.web.signing_in import Reader
    from unlatch.web.streaming import Hub

    ben = await add_member(tenant)
    await save_reading(platform, tenant.access_point_id)
    visit_id = (await scan(tenant))["id"]
    hub = Hub(platform.database)

    async def listen(caller: Caller) -> list[bytes]:
        stream = hub.follow(visit_id, after=0, reader=Reader.CONSIGNEE, language="en", consignee_id=caller.id)
        return [event async for event in stream if event.startswith((b"id:", b"event:"))]

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.02)

    listening = [asyncio.create_task(listen(one)) for one in (tenant.consignee, ben)]
    await until(lambda: hub.streams == 2 and all(one.seen >= 2 for one in hub._watchers))
    await tenant.consignee.make(f"{place_path(tenant)}/members/{ben.id}/remove")
    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE)
    heard = await asyncio.wait_for(listening[1], 20)
    assert not any(b"gate_passed" in event for event in heard), heard
    assert not any(event.startswith(b"event: over") for event in heard)
    assert any(b"granted" in event for event in heard), "what came before was told"
    await until(lambda: all(one.seen >= 4 for one in hub._watchers))
    assert not listening[0].done(), "the owner goes on listening"
    listening[0].cancel()
    await hub.close()


async def test_leaving_and_coming_back(platform: Platform, tenant: Tenant) -> None:
    await fetch(platform, "UPDATE access_point SET name = 'at work' RETURNING 1")
    ben = await add_member(tenant)
    cid = await add_member(tenant, "Cid")
    assert (await ben.make(f"{place_path(tenant)}/leave"))["has_left"] is True
    told = await fetch(platform, "SELECT reader_id FROM notice WHERE event = 'member_left' ORDER BY 1")
    assert told == sorted([(tenant.consignee.id,), (cid.id,)])
    query = "SELECT DISTINCT facts ->> 'place' FROM notice WHERE event = 'member_left'"
    assert await fetch(platform, query) == [("at work",)], "who shares several places learns which one"
    await ben.make(JOIN, {"code": await invite(tenant.consignee, tenant.access_point_id)})
    people = (await ben.get(f"{place_path(tenant)}/household")).json()["people"]
    assert [one["name"] for one in people] == ["Ada Consignee", "Cid", "Ben Brother"]


# ---- owners


async def test_ownership_changes_hands_with_all_its_rights(platform: Platform, tenant: Tenant) -> None:
    ben = await add_member(tenant)
    code = await invite(tenant.consignee, tenant.access_point_id)
    handed = await tenant.consignee.make(f"{place_path(tenant)}/owner", {"consignee_id": ben.id})
    assert [(one["name"], one["role"]) for one in handed["people"]] == [
        ("Ben Brother", "owner"),
        ("Ada Consignee", "member"),
    ]
    told = await fetch(platform, "SELECT reader_id, facts->>'who' FROM notice WHERE event = 'owner_changed'")
    assert sorted(told) == sorted([(ben.id, "Ben"), (tenant.consignee.id, "Ben")])
    cid = await add_consignee(tenant.carrier, "Cid")
    assert (await cid.post(JOIN, {"code": code})).status_code == 400, "the former owner's invitation"
    assert (await tenant.consignee.post(f"{place_path(tenant)}/invitations")).status_code == 403
    assert (await ben.post(f"{place_path(tenant)}/members/{tenant.consignee.id}/remove")).status_code == 200
    assert (await tenant.consignee.get(f"{place_path(tenant)}/household")).status_code == 404
    nobody = await ben.post(f"{place_path(tenant)}/owner", {"consignee_id": tenant.consignee.id})
    assert nobody.status_code == 404


async def test_two_hand_overs_at_once_leave_one_owner(platform: Platform, tenant: Tenant) -> None:
    people = [await add_member(tenant, name) for name in ("Ben", "Cid")]
    answers = await asyncio.gather(
        *(tenant.consignee.post(f"{place_path(tenant)}/owner", {"consignee_id": one.id}) for one in people)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 403]
    owner = await fetch(
        platform, "SELECT consignee_id FROM access_point WHERE id = %s", tenant.access_point_id
    )
    members = await fetch(platform, "SELECT consignee_id FROM member WHERE left_at IS NULL")
    everyone = {tenant.consignee.id, *(one.id for one in people)}
    assert {row[0] for row in (*owner, *members)} == everyone
    assert len(members) == 2


# ---- blocks


async def test_a_member_ends_no_block_that_someone_else_has_put_on_it(tenant: Tenant) -> None:
    place, owner, ben = place_path(tenant), tenant.consignee, await add_member(tenant)
    await owner.make(f"{place}/block")
    assert (await ben.post(f"{place}/unblock")).status_code == 403
    await ben.make(f"{place}/block")
    assert (await ben.post(f"{place}/unblock")).status_code == 403, (
        "a second block makes the first not theirs"
    )
    await owner.make(f"{place}/unblock")
    await ben.make(f"{place}/block")
    assert (await ben.make(f"{place}/unblock"))["is_blocked"] is False, "theirs alone"
    await ben.make(f"{place}/block")
    await owner.make(f"{place}/block")
    assert (await ben.post(f"{place}/unblock")).status_code == 403
    assert (await owner.make(f"{place}/unblock"))["is_blocked"] is False


async def test_a_block_of_before_that_was_noted_is_the_owner_s_to_end(
    platform: Platform, tenant: Tenant
) -> None:
    ben = await add_member(tenant)
    await fetch(platform, "UPDATE access_point SET blocked_at = now() RETURNING 1")
    assert (await ben.post(f"{place_path(tenant)}/unblock")).status_code == 403
    assert (await tenant.consignee.post(f"{place_path(tenant)}/unblock")).status_code == 200


async def test_a_removal_that_commits_first_refuses_the_block(platform: Platform, tenant: Tenant) -> None:
    ben = await add_member(tenant)
    async with platform.database.transaction() as connection:
        await connection.execute(
            "SELECT 1 FROM access_point WHERE id = %s FOR NO KEY UPDATE", (tenant.access_point_id,)
        )
        blocking = asyncio.create_task(ben.post(f"{place_path(tenant)}/block"))
        async with asyncio.timeout(10):
            while not await fetch(
                platform, "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) "
                "WHERE NOT granted AND datname = current_database()"
            ):  # fmt: skip
                await asyncio.sleep(0.02)
        await connection.execute("UPDATE member SET left_at = joined_at")
    assert (await blocking).status_code == 404


def test_no_request_of_a_household_is_forgotten_here() -> None:
    """A request about a place that is new is looked at, and its right gets its row."""
    known = {
        "block", "unblock", "household", "invitations", "invitations/{invitation_id}", "leave", "owner",
        "members/{consignee_id}/remove", "members/{consignee_id}/watching", "relink", "home", "home/unlink", "hub",
        "cameras", "cameras/{camera_id}", "cameras/{camera_id}/feed_link", "take_over",
    }  # fmt: skip
    prefix = "/v1/me/access_points/{access_point_id}/"
    found = {
        endpoint.path.removeprefix(prefix)
        for table in TABLES
        for endpoint in table.endpoints
        if endpoint.path.startswith(prefix)
    }
    assert found == known


async def test_a_member_watches_while_the_owner_lets_them(platform: Platform, tenant: Tenant) -> None:
    member, stranger = await add_member(tenant), await add_consignee(tenant.carrier, "Sam Stranger")
    path = f"{place_path(tenant)}/members/{member.id}/watching"
    let = await tenant.consignee.make(path, {"may_watch": True})
    assert [(one["role"], one["may_watch"]) for one in let["people"]] == [("owner", True), ("member", True)]
    household = (await member.get(f"{place_path(tenant)}/household")).json()
    assert "watch" in household["your_rights"]
    assert "let_watch" not in household["your_rights"]
    await save_reading(platform, tenant.access_point_id)
    visit = (await scan(tenant))["id"]
    made = await member.make(f"/v1/visits/{visit}/tickets", {"kind": "player"})
    assert (await member.http.get(made["address"])).status_code == 200
    await tenant.consignee.make(path, {"may_watch": False})
    assert (await member.http.get(made["address"])).status_code == 404
    assert (await member.post(f"/v1/visits/{visit}/tickets", {"kind": "player"})).status_code == 403
    deeds = [one["what"] for one in (await member.get("/v1/me/timeline")).json()["deeds"]]
    assert deeds[:2] == ["watching_ended", "watching_let"]
    for other in (stranger, tenant.consignee):
        none = f"{place_path(tenant)}/members/{other.id}/watching"
        assert (await tenant.consignee.post(none, {"may_watch": True})).status_code == 404


async def test_who_joins_again_has_to_be_let_watch_again(platform: Platform, tenant: Tenant) -> None:
    member = await add_member(tenant)
    path = f"{place_path(tenant)}/members/{member.id}/watching"
    await tenant.consignee.make(path, {"may_watch": True})
    await member.make(f"{place_path(tenant)}/leave")
    again = await member.make(JOIN, {"code": await invite(tenant.consignee, tenant.access_point_id)})
    assert [one["may_watch"] for one in again["people"]] == [True, False]
