"""Watching: a real recorder films a town camera over RTSP, a real server shows it over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import httpx
import psycopg
import pytest
from tests.cameras.street import Street
from tests.web.conftest import Caller
from tests.web.people import add_consignee, add_member
from tests.web.theatre import Stream, Theatre, open_theatre
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from unlatch.domain.clip_parts import read_clip_parts
from unlatch.domain.proof import time_of_text
from unlatch.flow.enrolment import admit_operator
from unlatch.flow.sign_in import enter_by_key
from unlatch.store import sessions
from unlatch.store.database import Database
from unlatch.town.camera import CameraFaultKind
from unlatch.web import live as live_module
from unlatch.web.signing_in import csrf_of


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


async def test_a_browser_that_is_signed_out_sees_nothing_more(theatre: Theatre) -> None:
    entered = await enter_by_key(theatre.platform, theatre.owner.key, "Firefox on Android")
    http = theatre.owner.http
    signed = {
        "Cookie": f"unlatch={entered.token}",
        "Origin": str(http.base_url).rstrip("/"),
        "X-Unlatch-CSRF": csrf_of(entered.token),
    }
    path = f"/v1/visits/{theatre.visit_id}/tickets"
    made: dict[str, Any] = {}
    for kind in ("live", "player", "page"):
        answer = await http.post(path, headers={**signed, "Idempotency-Key": kind}, json={"kind": kind})
        assert answer.status_code == 201, answer.text
        made[kind] = answer.json()
    async with connect(made["live"]["address"], proxy=None) as link:
        stream = Stream(link)
        await stream.until("live")
        async with theatre.platform.database.connection() as connection:
            await sessions.end_session(
                connection,
                entered.session.id,
                reader="consignee",
                reader_id=theatre.owner.id,
                now=datetime.now(UTC),
            )
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await stream.read()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4403
    assert (await http.get(made["player"]["address"])).status_code == 404
    opened = {"visit_id": theatre.visit_id, "ticket": made["page"]["ticket"]}
    answer = await http.post("/v1/watching", headers={"Idempotency-Key": "2"}, json=opened)
    assert answer.status_code == 404
    assert (await theatre.owner.post(path, {"kind": "live"})).status_code == 201  # the key is still good


async def test_a_viewer_of_whom_nothing_can_be_said_is_cut_off(theatre: Theatre) -> None:
    async with (
        theatre.watch() as stream,
        await psycopg.AsyncConnection.connect(theatre.platform.database.dsn) as connection,
    ):
        await stream.until("live")
        for limit in ("transaction_timeout", "idle_in_transaction_session_timeout"):
            await connection.execute(f"SET {limit} = 0".encode())
        await connection.commit()
        await connection.execute("LOCK TABLE consignee IN ACCESS EXCLUSIVE MODE")
        begun_s = asyncio.get_running_loop().time()
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await stream.read()
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


# ---- by playlist ----------------------------------------------------------------------------------------------


async def test_a_player_plays_by_playlist_over_a_cut_and_to_the_end(theatre: Theatre, tmp_path: Path) -> None:
    base = (await theatre.ticket("player"))["address"]
    address = f"{base}/cameras/{theatre.camera_id}/live.m3u8"
    http = theatre.owner.http
    answer = await http.get(address)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/vnd.apple.mpegurl")
    first = Playlist(answer.text)
    assert first.lines[0] == "#EXTM3U"
    assert first.parts[0].is_independent
    # Blocking reload: the next part is waited for, and is there.
    number, part = first.next_part()
    waited = await http.get(address, params={"_HLS_msn": number, "_HLS_part": part})
    assert (number, part) < Playlist(waited.text).next_part()
    far = await http.get(address, params={"_HLS_msn": number + 9})
    assert far.status_code == 400
    theatre.street.strike(theatre.names[theatre.camera_id], CameraFaultKind.DROP)

    async def after_cut() -> Any:
        found = Playlist((await http.get(address)).text)
        return found if "#EXT-X-DISCONTINUITY" in found.lines else None

    cut: Playlist = await theatre.until(after_cut, "a second take")
    assert [line for line in cut.lines if line.startswith("#EXT-X-MAP")] == [
        line for line in cut.lines if "takes/take_1/" in line and "MAP" in line
    ] + [line for line in cut.lines if "takes/take_2/" in line and "MAP" in line]
    target = float(cut.value("#EXT-X-PART-INF:PART-TARGET="))
    assert all(part.length_s <= target for part in cut.parts)
    whole = [part.length_s for part in cut.parts if not part.is_last]
    assert sum(length_s > 0.8 * target for length_s in whole) > len(whole) / 2
    # Each part is whole fragments, and with its take's head before it decodes by itself where it is independent.
    head = await fetch_range(http, f"{base}/cameras/{theatre.camera_id}/", cut.maps[-1])
    piece = next(part for part in cut.parts if part.is_independent and "take_2" in part.range[0])
    content = await fetch_range(http, f"{base}/cameras/{theatre.camera_id}/", piece.range)
    times = frames_of(head + content, tmp_path / "part.mp4")
    assert len(times) * 0.1 == pytest.approx(piece.length_s, abs=0.15)
    # A player of others reads it while it grows, across the cut.
    seen = await asyncio.to_thread(play, address, 30)
    assert seen == 30
    looked = await theatre.looks(f"live:{theatre.camera_id}")
    assert len(looked) == 1  # for this ticket, however often it asks
    await theatre.end()

    async def ended() -> Any:
        answer = await http.get(address)
        return answer.status_code == 404 or "#EXT-X-ENDLIST" in answer.text

    await theatre.until(ended, "its end is told")


def play(address: str, frames: int) -> int:
    """How many frames another player gets to see of so many."""
    options = {"allowed_extensions": "ALL", "extension_picky": "0", "live_start_index": "0"}
    with av.open(address, "r", format="hls", options=options, timeout=20) as source:
        seen = 0
        for _ in source.decode(source.streams.video[0]):
            seen += 1
            if seen == frames:
                break
    return seen


class Playlist:
    """A playlist as a player reads it."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        self.parts: list[ListedPart] = []
        self.maps: list[tuple[str, int, int]] = []
        self.number, self.part = int(self.value("#EXT-X-MEDIA-SEQUENCE:")), 0
        for line in self.lines:
            if line.startswith("#EXT-X-PART:"):
                self.parts.append(ListedPart(line))
                self.part += 1
            elif line.startswith("#EXT-X-MAP:"):
                self.maps.append(range_of(line))
            elif not line.startswith("#"):
                self.number, self.part = self.number + 1, 0
                if self.parts:
                    self.parts[-1].is_last = True

    def value(self, start: str) -> str:
        return next(line.removeprefix(start) for line in self.lines if line.startswith(start))

    def next_part(self) -> tuple[int, int]:
        return self.number, self.part


class ListedPart:
    def __init__(self, line: str) -> None:
        self.range = range_of(line)
        self.length_s = float(re.search(r"DURATION=([\d.]+)", line)[1])  # type: ignore[index]
        self.is_independent = "INDEPENDENT=YES" in line
        self.is_last = False  # of its segment


def range_of(line: str) -> tuple[str, int, int]:
    """Address, offset and size."""
    found = re.search(r'URI="([^"]+)",BYTERANGE="(\d+)@(\d+)"', line)
    assert found is not None, line
    return found[1], int(found[3]), int(found[2])


async def fetch_range(http: httpx.AsyncClient, base: str, wanted: tuple[str, int, int]) -> bytes:
    address, offset, size = wanted
    answer = await http.get(base + address, headers={"Range": f"bytes={offset}-{offset + size - 1}"})
    assert answer.status_code == 206, answer.text
    return answer.content


# ---- clips ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def kept(theatre: Theatre) -> tuple[Theatre, dict[str, Any], str]:
    """A visit that is over, its clip, and the clip's address."""
    async with theatre.watch() as stream:
        await stream.picture(150_000)
    await theatre.end()
    (clip,) = await theatre.clips()
    return theatre, clip, f"/v1/visits/{theatre.visit_id}/clips/{clip['id']}"


async def test_a_clip_is_listed_seen_by_ranges_and_looked_at(
    kept: tuple[Theatre, dict[str, Any], str], tmp_path: Path
) -> None:
    theatre, clip, path = kept
    owner = theatre.owner
    assert clip["camera_name"] == "Hall"
    assert clip["erased_at"] is None
    assert datetime.fromisoformat(clip["keep_until"]) > datetime.fromisoformat(clip["made_at"])
    head = await owner.http.head(path, headers=owner.headers("HEAD", path))
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == clip["size"]
    assert head.headers["accept-ranges"] == "bytes"
    assert await theatre.looks(f"clip:{clip['id']}") == []  # to ask for its size is no look
    whole = await owner.get(path, params={"download": "true"})
    assert whole.status_code == 200
    assert len(whole.content) == clip["size"]
    assert whole.headers["etag"] == head.headers["etag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    assert whole.headers["content-disposition"] == f'attachment; filename="{clip["id"]}.mp4"'
    times = frames_of(whole.content, tmp_path / "clip.mp4")
    assert times[-1] == pytest.approx(clip["length_s"], abs=0.3)
    etag = whole.headers["etag"]
    for given, status, begin, end in (
        ("bytes=0-99", 206, 0, 100),
        ("bytes=100-", 206, 100, clip["size"]),
        ("bytes=-7", 206, clip["size"] - 7, clip["size"]),
        (f"bytes=5-{10**9}", 206, 5, clip["size"]),
        ("bytes=0-1,5-6", 200, 0, clip["size"]),  # several: all of it
        ("bytes=7-2", 200, 0, clip["size"]),
    ):
        answer = await owner.get(path, headers={"Range": given, "If-Range": etag})
        assert (given, answer.status_code) == (given, status)
        assert answer.content == whole.content[begin:end]
        if status == 206:
            assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{clip['size']}"
    changed = await owner.get(path, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert (changed.status_code, len(changed.content)) == (200, clip["size"])
    behind = await owner.get(path, headers={"Range": f"bytes={clip['size']}-"})
    assert behind.status_code == 416, behind.text
    assert behind.headers["content-range"] == f"bytes */{clip['size']}"
    assert (await owner.get(path, headers={"If-None-Match": etag})).status_code == 304
    poster = await owner.get(f"{path}/poster")
    assert poster.headers["content-type"] == "image/jpeg"
    assert poster.content[:2] == b"\xff\xd8"
    (look,) = await theatre.looks(f"clip:{clip['id']}")  # one in ten minutes
    assert look["who"] == owner_who(theatre)
    timeline = (await owner.get("/v1/me/timeline")).json()["looks"]
    assert {"doer", "what"} <= timeline[0].keys()
    assert f"clip:{clip['id']}" in [one["what"] for one in timeline]


def owner_who(theatre: Theatre) -> str:
    return f"consignee:{theatre.owner.id}"


async def test_nobody_else_sees_a_clip_and_an_erased_one_is_gone(
    kept: tuple[Theatre, dict[str, Any], str],
) -> None:
    theatre, clip, path = kept
    tenant = theatre.tenant
    member, stranger = await add_member(tenant), await add_consignee(tenant.carrier, "Sam Stranger")
    operator = await admit_operator(theatre.platform, "Olga")
    staff = Caller(http=tenant.carrier.http, key=operator.key, id=operator.id)
    for caller, status in (
        (member, 403),
        (stranger, 404),
        (staff, 403),
        (tenant.courier, 403),
        (tenant.carrier, 403),
    ):
        for address in (path, f"{path}/poster", path.rpartition("/")[0]):
            assert (await caller.get(address)).status_code == status
    player = await theatre.ticket("player")
    address = f"{player['address']}/clips/{clip['id']}"
    assert (await tenant.carrier.http.get(address, headers={"Range": "bytes=0-9"})).status_code == 206
    other = f"{player['address']}/clips/cli_other_1"
    assert (await tenant.carrier.http.get(other)).status_code == 404
    await theatre.ask(
        "UPDATE clip SET sealed_key = NULL, poster = NULL, erased_at = now() WHERE id = %s", clip["id"]
    )
    for gone in (address, f"{address}/poster"):
        assert (await tenant.carrier.http.get(gone)).status_code == 404
    assert (await theatre.owner.get(path)).status_code == 404
    (shown,) = await theatre.clips()
    assert shown["erased_at"] is not None


async def test_a_damaged_part_is_named_and_never_shown(kept: tuple[Theatre, dict[str, Any], str]) -> None:
    theatre, clip, path = kept
    (file,) = (theatre.platform.settings.data_dir / "clips").rglob("*.clip")
    content = bytearray(file.read_bytes())
    content[-2000] ^= 1  # in the last chunk, so that the answer has begun by then
    file.write_bytes(content)
    owner = theatre.owner
    assert (await owner.get(path, headers={"Range": "bytes=0-999"})).status_code == 206
    answer = await owner.get(path, headers={"Range": f"bytes={clip['size'] - 3000}-"})
    assert (answer.status_code, answer.json()["type"]) == (500, "/v1/docs#problem-damaged")
    assert re.fullmatch(r"not what was recorded: part [\d, ]+", answer.json()["detail"])
    (row,) = await theatre.ask("SELECT parts FROM clip")
    touched = next(
        place.part
        for place in read_clip_parts(row["parts"]).places
        if place.offset <= clip["size"] - 2000 < place.offset + place.size
    )
    assert str(touched) in re.findall(r"\d+", answer.json()["detail"])


async def test_a_download_that_meets_damage_ends_short_and_is_not_taken_for_whole(
    kept: tuple[Theatre, dict[str, Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    theatre, clip, path = kept
    (file,) = (theatre.platform.settings.data_dir / "clips").rglob("*.clip")
    content = bytearray(file.read_bytes())
    content[-2000] ^= 1
    file.write_bytes(content)
    monkeypatch.setattr("unlatch.flow.viewing.STEP_BYTES", 64 * 1024)
    monkeypatch.setattr("unlatch.web.cinema.STEP_BYTES", 64 * 1024)
    assert clip["size"] > 2 * 64 * 1024
    owner = theatre.owner
    with pytest.raises(httpx.RemoteProtocolError):
        await owner.get(path)
