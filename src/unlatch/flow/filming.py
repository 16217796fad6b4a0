"""The camera's part of a home's visit: connected when the courier comes near, proven before the unlock, watched until
it is seen locked.

Who carries out a home's visit speaks to the recorder that holds its cameras over a local socket. The proof and the
lease come from there, never from a row: a row may be old. What rows tell is the other direction: that a lease ran out,
whatever became of the recorder that let it run out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from unlatch.cameras.base import Camera
from unlatch.cameras.feed_socket import feed_path
from unlatch.cameras.glances import Method
from unlatch.cameras.light import Pattern
from unlatch.cameras.makers.browser import BrowserCamera
from unlatch.cameras.proof import Lease, Proof
from unlatch.cameras.recorder_client import RecorderClient
from unlatch.clock import monotonic_s
from unlatch.domain.incident import Incident
from unlatch.domain.preflight import Picture
from unlatch.domain.proof import Kind, text_of_time
from unlatch.domain.visit import DEADLINES_S, Fact, State
from unlatch.errors import DatabaseDown, NotFound, RecordingError
from unlatch.flow import challenging
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, Line, chain, record_in
from unlatch.store import cameras, journal, visits
from unlatch.store.cameras import CameraRow, Held, RecordingRow, RecordingState
from unlatch.store.ids import make_id
from unlatch.store.visits import VisitRow

log = structlog.get_logger(__name__)

RECORDINGS = "recordings"  # folder of the data folder
WANTED_FOR = timedelta(minutes=10)  # real: behind the last sign of a courier
CONNECTED_WITHIN_S = 6.0  # real: a camera that nobody has connected before the scan takes up to four
JUDGED_WITHIN_S = 3.0  # real: a verdict rests on two seconds of its picture
LOOKED_AT_FOR = timedelta(seconds=30)  # real: for a look ahead of a visit; then it is let go
PROVEN_WITHIN_S = 8.0  # real: then the camera is not proven, and the stop goes to its fallback
LOOK_EVERY_S = 0.1
TURNED_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What the gate of a home rests on: a proof of this very moment, and the lease under which the door may open."""

    camera_id: str
    proof: Proof
    lease: Lease


def camera_of(platform: Platform, row: CameraRow) -> Camera:
    """How to connect to a camera. Raises SealBroken."""
    secrets = platform.vault.open_mapping(row.sealed, row.id)
    address = secrets.pop("address", "")
    if row.maker == BrowserCamera.name:
        address = str(feed_path(platform.settings.data_dir, row.id))
    return Camera(
        maker=row.maker,
        address=address,
        secrets=secrets,
        allows_private=platform.settings.allows_private_hubs,
    )


def folder_of(platform: Platform, recording_id: str) -> Path:
    """Where a recording's takes lie until they are a clip."""
    return platform.settings.data_dir.absolute() / RECORDINGS / recording_id


async def await_camera(platform: Platform, access_point_id: str) -> None:
    """Wait until a camera of the place is heard that may be a witness, but not for long."""
    deadline_s = monotonic_s() + CONNECTED_WITHIN_S
    while monotonic_s() < deadline_s:
        now, real_now = platform.clock.now(), datetime.now(UTC)
        async with platform.database.connection() as connection:
            known = await cameras.list_cameras(connection, access_point_id)
        witnesses = [row for row in known if row.is_witness(now)]
        if not witnesses or any(_is_heard(row, real_now) for row in witnesses):
            return
        await asyncio.sleep(LOOK_EVERY_S)


async def look_at_cameras(platform: Platform, access_point_id: str) -> Picture | None:
    """Connect the cameras of a home for a moment; what those show that may be witnesses. None: none may."""
    async with platform.database.connection() as connection:
        known = await cameras.list_cameras(connection, access_point_id)
        if not any(row.is_witness(platform.clock.now()) for row in known):
            return None
        await cameras.want(connection, access_point_id, datetime.now(UTC) + LOOKED_AT_FOR)
    deadline_s = monotonic_s() + CONNECTED_WITHIN_S + JUDGED_WITHIN_S
    while True:
        now, real_now = platform.clock.now(), datetime.now(UTC)
        async with platform.database.connection() as connection:
            known = await cameras.list_cameras(connection, access_point_id)
        heard = [row for row in known if row.is_witness(now) and _is_heard(row, real_now)]
        if any(row.verdict is not None and row.verdict not in cameras.AGAINST for row in heard):
            return Picture.LIVING
        if monotonic_s() > deadline_s:
            break
        await asyncio.sleep(LOOK_EVERY_S)
    if not heard:
        return Picture.MISSING
    return Picture.FALSE if all(row.verdict in cameras.AGAINST for row in heard) else Picture.LIVING


def _is_heard(row: CameraRow, real_now: datetime) -> bool:
    is_recent = row.heard_at_real is not None and real_now - row.heard_at_real < cameras.HEARD_FOR
    return is_recent and row.state in ("armed", "recording")


# ---- the proof --------------------------------------------------------------------------------------------


async def prove_recording(platform: Platform, visit_id: str) -> None:
    """The order PROVE_RECORDING: let the cameras record, and have one of them prove it. Safe to call again.

    Half of the state's time at most: why nothing was proven is to be said before the clock says that nothing was.
    """
    time_s, begun_s = platform.clock.real_s(DEADLINES_S[State.PROVING]), monotonic_s()
    patient_s = min(PROVEN_WITHIN_S, time_s / 2)
    codes: dict[str, str] = {}
    while True:
        async with platform.database.connection() as connection:
            row = await visits.get_visit(connection, visit_id)
            held = await cameras.list_held(connection, row.access_point_id, datetime.now(UTC))
        if row.visit.state is not State.PROVING:
            return
        witnesses = [one for one in held if one.camera.is_witness(platform.clock.now())]
        await asyncio.gather(*(_record_too(platform, row, one) for one in held if one not in witnesses))
        counting = await challenging.list_counting(platform, row.access_point_id)
        proven = await asyncio.gather(*(_prove(platform, row, one, codes, counting) for one in witnesses))
        good = [one for one in proven if one is not None]
        waited_s = monotonic_s() - begun_s
        lit = [one for one in witnesses if challenging.may_be_lit(one, codes, waited_s)]
        if not good and lit and time_s - waited_s > challenging.TAKES_S:
            light = await challenging.find_light(platform, row.access_point_id)
            proven = await asyncio.gather(
                *(_prove(platform, row, one, codes, counting, light) for one in lit if light is not None)
            )
            good = [one for one in proven if one is not None]
        if good:
            await _record_proofs(platform, visit_id, good)
            return
        if not witnesses or monotonic_s() - begun_s > patient_s:
            break
        await asyncio.sleep(LOOK_EVERY_S)
    happening = Happening(
        fact=Fact.RECORDING_NOT_PROVEN,
        who=f"worker:{platform.name}",
        kind=Kind.OUTCOME,
        body={"cameras": codes},
        incident=_incident_of(codes),
    )
    async with platform.database.pipelined_transaction() as connection:
        row = await visits.lock_visit(connection, visit_id)
        await record_in(connection, row, happening, platform.clock.now())


def _incident_of(codes: dict[str, str]) -> Incident:
    """Why nothing was proven: for want of a picture, or for want of life in it."""
    silent = {
        "offline",
        "unreachable",
        "cut",
        "silent",
        "stalled",
        "closed",
        "refused",
        "not_let_in",
        "not_found",
    }
    if not codes:
        return Incident.DEVICE_CAMERA_NOT_ENROLLED
    return (
        Incident.DEVICE_CAMERA_OFFLINE if set(codes.values()) <= silent else Incident.DEVICE_CAMERA_NOT_PROVEN
    )


async def _prove(
    platform: Platform,
    row: VisitRow,
    held: Held,
    codes: dict[str, str],
    counting: Collection[Method],
    light: Pattern | None = None,
) -> tuple[RecordingRow, Proof] | None:
    """Let one camera record and prove it; why not goes to `codes`."""
    camera_id = held.camera.id
    if held.socket is None:
        codes[camera_id] = "offline"
        return None
    try:
        async with RecorderClient(Path(held.socket)) as recorder:
            recording = await _begin(platform, recorder, row, held.camera)
            answer = challenging.check(await recorder.prove(camera_id, light), held.camera, counting)
    except NotFound:
        codes[camera_id] = "offline"  # its recorder does not hold it yet
    except RecordingError as error:
        codes[camera_id] = error.code
    else:
        if isinstance(answer, Proof):
            return recording, answer
        codes[camera_id] = str(answer.code)
    return None


async def _begin(
    platform: Platform, recorder: RecorderClient, row: VisitRow, camera: CameraRow
) -> RecordingRow:
    """Record this visit with this camera, if it does not yet. Raises RecordingError, NotFound."""
    recording_id = make_id("rec")
    async with platform.database.connection() as connection:
        recording = await cameras.want_recording(
            connection,
            recording_id,
            visit_id=row.id,
            held=camera,
            folder=str(folder_of(platform, recording_id)),
            now=platform.clock.now(),
        )
    if recording.state is RecordingState.WANTED:
        await recorder.start(camera.id, Path(recording.folder))
        async with platform.database.connection() as connection:
            await cameras.set_recording(connection, recording.id)
    return recording


async def _record_too(platform: Platform, row: VisitRow, held: Held) -> None:
    """A camera that is no witness records as well as it can: nothing hangs on it."""
    if held.socket is None:
        return
    with suppress(RecordingError, NotFound):
        async with RecorderClient(Path(held.socket)) as recorder:
            await _begin(platform, recorder, row, held.camera)


async def _record_proofs(
    platform: Platform, visit_id: str, proven: Sequence[tuple[RecordingRow, Proof]]
) -> None:
    """Each is a witness from now on: while one of them holds its lease, the recording is not lost."""
    for recording, proof in proven:
        platform.proofs.keep(visit_id, recording.camera_id, proof)
    lease_until_real = datetime.now(UTC) + timedelta(seconds=2)
    (first, proof), *others = proven
    body = _body_of(first, proof)
    if others:
        body["others"] = [{"camera": one.camera_id, **_body_of(one, its)} for one, its in others]
    async with platform.database.pipelined_transaction() as connection:
        row = await visits.lock_visit(connection, visit_id)
        for recording, made in proven:
            await cameras.set_proved(
                connection, recording.id, proved_at_real=made.made_at, lease_until_real=lease_until_real
            )
        happening = Happening(
            fact=Fact.RECORDING_PROVEN, who=f"camera:{first.camera_id}", kind=Kind.OUTCOME, body=body
        )
        await record_in(connection, row, happening, platform.clock.now())


def _body_of(recording: RecordingRow, proof: Proof) -> dict[str, Any]:
    """A proof as the journal holds it: what was read back from the disk, and what it rests on."""
    body: dict[str, Any] = {
        "recording": recording.id,
        "take": proof.take,
        "part": proof.part,
        "frames": proof.frames,
        "sha256": proof.sha256.hex(),
        "made_at": text_of_time(proof.made_at),
    }
    if proof.judgement.method is not None:
        body["method"] = proof.judgement.method.value
    if proof.clock_apart_s is not None:
        body["clock_apart_ms"] = round(proof.clock_apart_s * 1000)
    return body


# ---- before the gate --------------------------------------------------------------------------------------


async def find_hold(platform: Platform, visit_id: str) -> Hold | None:
    """A witness of this visit that has proven itself a moment ago, and its lease as of now; None: there is none.

    A proof that another process made is made again here: only one's own clock tells how old it is.
    """
    async with platform.database.connection() as connection:
        row = await visits.get_visit(connection, visit_id)
        recordings = await cameras.list_recordings(connection, visit_id)
        held = await cameras.list_held(connection, row.access_point_id, datetime.now(UTC))
    witnesses = {
        one.camera_id for one in recordings if one.is_witness and one.state is RecordingState.RECORDING
    }
    for one in held:
        if one.camera.id not in witnesses or one.socket is None:
            continue
        try:
            async with RecorderClient(Path(one.socket)) as recorder:
                proof = platform.proofs.find(visit_id, one.camera.id) or await challenging.prove_again(
                    platform, recorder, one.camera
                )
                if isinstance(proof, Proof):
                    _, lease = await recorder.state(one.camera.id)
                    return Hold(camera_id=one.camera.id, proof=proof, lease=lease)
        except (RecordingError, NotFound) as error:
            log.warning("a witness does not answer", visit=visit_id, why=type(error).__name__)
    return None


# ---- while the door may be open ---------------------------------------------------------------------------


async def tell_turned(platform: Platform, limit: int = TURNED_AT_ONCE) -> int:
    """Tell visits that their recording was lost, or is back. How many there were.

    By rows alone: it does not matter what became of the recorder. One that can't be told keeps no other waiting.
    """
    async with platform.database.connection() as connection:
        turned = await cameras.list_turned(connection, datetime.now(UTC), limit)
    broken: list[Exception] = []
    for visit_id, is_lost in turned:
        try:
            await _tell_turned(platform, visit_id, is_lost=is_lost)
        except DatabaseDown:
            raise
        except Exception as error:  # noqa: BLE001 - raised below
            broken.append(error)
    if broken:
        raise broken[0]
    return len(turned)


async def _tell_turned(platform: Platform, visit_id: str, *, is_lost: bool) -> None:
    async with platform.database.pipelined_transaction() as connection:
        row = await visits.lock_visit(connection, visit_id)
        recordings = await cameras.list_recordings(connection, visit_id)
        witnesses = [one for one in recordings if one.is_witness]
        if not await cameras.turn_lost(connection, visit_id, is_lost=is_lost, real_now=datetime.now(UTC)):
            return
        now = platform.clock.now()
        if is_lost:
            held = await cameras.list_held(connection, row.access_point_id, datetime.now(UTC))
            happening = Happening(
                fact=Fact.RECORDING_LOST,
                who=f"worker:{platform.name}",
                kind=Kind.OUTCOME,
                body=_body_of_loss(witnesses, held),
            )
            await record_in(connection, row, happening, now)
            return
        lost = [one.lost_at_real for one in witnesses if one.lost_at_real is not None]
        body = {"lost_since": text_of_time(min(lost))} if lost else {}
        line = Line(name="recording_back", who=f"worker:{platform.name}", kind=Kind.NOTE, body=body)
        row, (entry, private) = chain(row, line, now)
        await visits.update_visit(connection, row)
        await journal.append_entry(connection, entry, private)


def _body_of_loss(witnesses: Sequence[RecordingRow], held: Sequence[Held]) -> dict[str, Any]:
    """Since when nobody swears to what happens at the door, and what became of each witness."""
    ends = [one.lease_until_real for one in witnesses if one.lease_until_real is not None]
    lost = {one.camera_id for one in witnesses}
    why = {one.camera.id: _why_lost(one) for one in held if one.camera.id in lost}
    return {"cameras": why} | ({"since": text_of_time(max(ends))} if ends else {})


def _why_lost(held: Held) -> str:
    """A word: why its session ended, or what its picture is known to be."""
    camera = held.camera
    if held.socket is None:
        return "recorder_gone"
    return camera.code or (camera.verdict if camera.verdict in cameras.AGAINST else None) or "silent"
