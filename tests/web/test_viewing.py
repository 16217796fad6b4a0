"""Watching: a real recorder films a town camera over RTSP, a real server shows it over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import psycopg
import pytest
from tests.cameras.street import Street
from tests.web.people import add_consignee, add_member
from tests.web.theatre import Theatre, open_theatre
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from unlatch.domain.proof import time_of_text
from unlatch.store.database import Database
from unlatch.town.camera import CameraFaultKind
from unlatch.web import live as live_module


@pytest.fixture(scope="module")
def street() -> Iterator[Street]:
    street = Street()
    yield street
    street.close()


@pytest.fixture
async def theatre(database: Database, tmp_path: Path, street: Street) -> AsyncIterator[Theatre]:
    async with open_theatre(database, tmp_path, street) as theatre:
        await theatre.film(await theatre.add_camera())
        yield theatre


def frames_of(content: bytes, path: Path) -> list[float]:
    """The times of the frames in it, each decoded."""
    path.write_bytes(content)
    with av.open(str(path), "r", format="mp4") as source:
        return [float(frame.time or 0) for frame in source.decode(source.streams.video[0])]


# ---- live ---------------------------------------------------------------------------------------------------


async def test_a_live_picture_begins_with_a_keyframe_and_goes_on(theatre: Theatre, tmp_path: Path) -> None:
    async with theatre.watch() as stream:
        run = await stream.until("run")
        assert (run["why"], run["take"]) == ("begin", 1)
        assert run["codec"].startswith('video/mp4; codecs="avc1.')
        await stream.until("live")
        content = await stream.picture(60_000)
        state = await stream.until("live")
    times = frames_of(content, tmp_path / "seen.mp4")
    assert len(times) > 5
    assert times[0] == pytest.approx(run["begins_s"], abs=0.01)
    assert times == sorted(times)
    age = (time_of_text(state["at"]) - time_of_text(state["picture_at"])).total_seconds()
    assert 0 <= age < 1.2
    (look,) = await theatre.looks(f"live:{theatre.camera_id}")
    assert look["who"] == f"consignee:{theatre.owner.id}"


async def test_a_stall_is_told_though_no_byte_comes(theatre: Theatre) -> None:
    name = theatre.names[theatre.camera_id]
    async with theatre.watch() as stream:
        await stream.until("live")
        theatre.street.strike(name, CameraFaultKind.STALL)
        gap = await stream.until("gap")
        assert gap["code"]
        age = time_of_text(gap["at"]) - time_of_text(gap["picture_at"])
        assert 1.4 < age.total_seconds() < 2.5
        theatre.street.strike(name, None)
        await stream.until("live")


async def test_a_new_take_is_a_new_run(theatre: Theatre, tmp_path: Path) -> None:
    async with theatre.watch() as stream:
        await stream.until("live")
        theatre.street.strike(theatre.names[theatre.camera_id], CameraFaultKind.DROP)
        run = await stream.until("run")
        assert (run["why"], run["take"]) == ("take", 2)
        await stream.until("live")
        content = await stream.picture(30_000)
    assert frames_of(content, tmp_path / "seen.mp4")[0] == pytest.approx(run["begins_s"], abs=0.01)


async def test_a_frozen_picture_is_never_called_live(theatre: Theatre) -> None:
    async with theatre.watch() as stream:
        await stream.until("live")
        theatre.street.strike(theatre.names[theatre.camera_id], CameraFaultKind.FREEZE)
        gap = await stream.until("gap", code="frozen")
        assert gap["picture_at"]
        for _ in range(20):
            told = await stream.read()
            assert isinstance(told, bytes) or told["kind"] == "gap"


async def test_it_ends_with_the_visit(theatre: Theatre) -> None:
    async with theatre.watch() as stream:
        await stream.until("live")
        await theatre.end()
        await stream.until("ended")
        with pytest.raises(ConnectionClosed) as closed:
            await stream.read()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
    (begun,), (ended,) = [await theatre.looks(f"{how}:{theatre.camera_id}") for how in ("live", "live_ended")]
    assert (begun["who"], begun["at"]) < (ended["who"], ended["at"])
    async with theatre.watch() as stream:
        with pytest.raises(ConnectionClosed) as closed:
            await stream.read()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4404


async def revoke_by_owner(theatre: Theatre, member: Any) -> None:
    place = theatre.tenant.access_point_id
    path = f"/v1/me/access_points/{place}/members/{member.id}/watching"
    assert (await theatre.owner.make(path, {"may_watch": False}))["people"][1]["may_watch"] is False


async def leave(theatre: Theatre, member: Any) -> None:
    await member.make(f"/v1/me/access_points/{theatre.tenant.access_point_id}/leave")


async def lose_key(theatre: Theatre, member: Any) -> None:
    await theatre.ask("UPDATE consignee SET key_hash = '\\x00' WHERE id = %s", member.id)


@pytest.mark.parametrize("revoke", [revoke_by_owner, leave, lose_key])
async def test_a_right_that_ends_ends_the_stream_within_ten_seconds(theatre: Theatre, revoke: Any) -> None:
    member = await add_member(theatre.tenant)
    place = theatre.tenant.access_point_id
    refused = await member.post(f"/v1/visits/{theatre.visit_id}/tickets", {"kind": "live"})
    assert refused.status_code == 403
    path = f"/v1/me/access_points/{place}/members/{member.id}/watching"
    let = await theatre.owner.make(path, {"may_watch": True})
    assert [one["may_watch"] for one in let["people"]] == [True, True]
    player = await theatre.ticket("player", member)
    async with theatre.watch(member) as stream, theatre.watch() as other:
        await stream.until("live")
        await other.until("live")
        await revoke(theatre, member)
        begun_s = asyncio.get_running_loop().time()
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await stream.read()
        assert asyncio.get_running_loop().time() - begun_s < 10
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4403
        await other.until("live")  # the owner watches on
    http = theatre.owner.http
    assert (await http.get(player["address"])).status_code == 404
    playlist = f"{player['address']}/cameras/{theatre.camera_id}/live.m3u8"
    assert (await http.get(playlist)).status_code == 404


async def test_a_viewer_of_whom_nothing_can_be_said_is_cut_off(theatre: Theatre) -> None:
    async with (
        theatre.watch() as stream,
        await psycopg.AsyncConnection.connect(theatre.platform.database.dsn) as connection,
    ):
        await stream.until("live")
        await connection.execute("LOCK TABLE consignee IN ACCESS EXCLUSIVE MODE")
        begun_s = asyncio.get_running_loop().time()
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                if not isinstance(await stream.read(), bytes):
                    await connection.execute("SELECT 1")  # whose lock is idle is thrown out
        assert asyncio.get_running_loop().time() - begun_s < 10
        await connection.rollback()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013


async def test_a_ticket_is_good_once_for_one_visit_and_not_for_long(theatre: Theatre) -> None:
    made = await theatre.ticket("live")
    assert (datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)).total_seconds() <= 30
    async with connect(made["address"], proxy=None) as link:
        await link.recv()
    page, other = await theatre.ticket("page"), await theatre.ticket("live")
    await theatre.ask("UPDATE ticket SET until_real = now() WHERE kind = 'live' AND used_at_real IS NULL")
    wrong = page["address"].partition("#")[2]
    base = made["address"].partition("?")[0]
    for address in (
        made["address"],  # used
        other["address"],  # too old
        f"{base}?ticket={wrong}",  # of another kind
        f"{base}?ticket=tik_none",
        base,
        f"{base.replace(theatre.visit_id, 'vis_other')}?ticket={(await theatre.ticket('live'))['ticket']}",
    ):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(address, proxy=None):
                pass
        assert refused.value.response.status_code == 403
    kept = await theatre.ask("SELECT digest FROM ticket")
    assert not any(made["ticket"].encode() in row["digest"] for row in kept)


async def test_who_may_ask_for_a_ticket(theatre: Theatre) -> None:
    tenant = theatre.tenant
    stranger = await add_consignee(tenant.carrier, "Sam Stranger")
    path = f"/v1/visits/{theatre.visit_id}"
    for caller, status in ((stranger, 404), (tenant.carrier, 403), (tenant.courier, 403)):
        assert (await caller.post(f"{path}/tickets", {"kind": "player"})).status_code == status
        assert (await caller.get(f"{path}/clips")).status_code == status
        assert (await caller.get(f"{path}/cameras")).status_code == status
    shown = (await theatre.owner.get(f"{path}/cameras")).json()["cameras"]
    assert shown == [{"id": theatre.camera_id, "name": "Hall", "is_live": True, "is_witness": False}]


async def test_a_slow_viewer_goes_on_at_the_newest_keyframe(theatre: Theatre) -> None:
    async with theatre.watch(max_queue=1) as stream:
        await stream.until("live")
        # Nothing is read for a while: the pictures of that time are not made up for, once the buffers are used up.
        source = next(iter(_hub(theatre)._sources.values()))
        items, is_jump = source.read_on(source._ring[-1].number)
        assert (len(items), is_jump) == (1, False)
        first = source._ring[0].number
        await theatre.until(
            lambda: _is_so(source._ring[-1].passage.end_s > 5 and source._ring[0].number > first),
            "old ones go",
        )
        items, is_jump = source.read_on(first)
        assert is_jump
        assert items[0].passage.is_key
        assert source._ring[-1].passage.end_s - items[0].passage.begin_s <= 2.5


async def _is_so(is_so: bool) -> bool:
    return is_so


def _hub(theatre: Theatre) -> live_module.LiveHub:
    for route in theatre.app.routes:
        for handler in getattr(route, "route_handlers", [getattr(route, "route_handler", None)]):
            for cell in getattr(handler.fn, "__closure__", None) or ():
                if isinstance(cell.cell_contents, live_module.LiveHub):
                    return cell.cell_contents
    raise AssertionError("there is no hub")


async def test_no_more_watch_than_may(theatre: Theatre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "MAX_OF_PERSON", 1)
    async with theatre.watch() as first:
        await first.until("live")
        async with theatre.watch() as second:
            with pytest.raises(ConnectionClosed) as closed:
                await second.read()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4429
    async with theatre.watch() as third:
        await third.until("live")
