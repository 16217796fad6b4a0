"""Real cameras over real RTSP, and each of their faults: no proof, no lease, and the gap is told."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from tests.cameras.street import FACE, HEIGHT, Street, clock_reader, wait_until

from unlatch.cameras.armed import ArmedCamera
from unlatch.cameras.base import Camera, CameraMaker, FormField, Session
from unlatch.cameras.board import CameraState, Event, EventKind
from unlatch.cameras.catalogue import find_camera_makers, get_camera_maker
from unlatch.cameras.finishing import finish
from unlatch.cameras.glances import Judgement, Method, Verdict
from unlatch.cameras.light import draw_pattern, look_for
from unlatch.cameras.makers.rtsp import RtspCamera
from unlatch.cameras.proof import LEASE_S, Lease, Proof, Refusal
from unlatch.cameras.watching import KEYFRAME_EVERY_S
from unlatch.clock import monotonic_s
from unlatch.domain.clip import last_link
from unlatch.errors import CameraUnreachable, NotFound, RecordingError
from unlatch.town.camera import CameraFaultKind, Lamp

SLOW_S = 20.0  # on a machine that others use, too


class Rig:
    """An armed camera with a clock, and what it told."""

    def __init__(self, street: Street, folder: Path, **fields: object) -> None:
        self.street, self.folder = street, folder
        self.name = street.add(**fields)
        self.events: list[Event] = []
        self.armed = ArmedCamera(
            self.name, street.link(self.name), RtspCamera(), reader=clock_reader(), tell=self.events.append
        )

    def wait(self, *verdicts: Verdict) -> float:
        def is_so() -> bool:
            self.armed.check(monotonic_s())
            return self.armed.status.judgement.verdict in verdicts

        return wait_until(is_so, SLOW_S, f"{self.name} was never {verdicts}")

    def prove(self) -> Proof | Refusal:
        return self.armed.prove()

    def of(self, kind: EventKind) -> list[Event]:
        return [event for event in self.events if event.kind is kind]


@pytest.fixture
def rig(street: Street, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(street, tmp_path)
    rig.armed.arm()
    rig.wait(Verdict.LIVE)
    yield rig
    rig.armed.disarm()
    street.do(lambda control: control._remove(control.cameras[rig.name]))


def test_a_proof_and_its_clip(rig: Rig) -> None:
    refused = rig.prove()
    assert isinstance(refused, Refusal)
    assert refused.code == "not_recording"
    rig.armed.start(rig.folder)
    proof = rig.prove()
    assert isinstance(proof, Proof), proof
    assert proof.judgement.method is Method.CLOCK
    assert abs(proof.judgement.clock_apart_s or 9) < 2
    assert abs(proof.clock_apart_s if proof.clock_apart_s is not None else 9) < 2
    assert proof.is_fresh(monotonic_s())
    assert not proof.is_fresh(proof.made_s + 5.1)
    assert rig.armed.status.lease.is_live(monotonic_s())
    rig.armed.relax()
    wait_until(lambda: rig.armed.status.parts > proof.part + 8)
    assert isinstance(rig.prove(), Proof)
    with pytest.raises(RecordingError) as busy:
        rig.armed.start(rig.folder / "other")
    assert busy.value.code == "busy"
    takes = rig.armed.stop()
    assert [(take.number, take.is_whole) for take in takes] == [(1, True)]
    assert rig.armed.status.state is CameraState.ARMED
    told = [event.part for event in rig.of(EventKind.PART)]
    assert tuple(told) == takes[0].parts
    assert rig.of(EventKind.PART)[-1].link == last_link(takes[0].parts)
    (clip,) = finish(takes, rig.folder)
    assert [place.part for place in clip.places] == [part.number for part in takes[0].parts]
    rig.armed.start(rig.folder / "..")  # it may record again
    rig.armed.stop()


KIND = CameraFaultKind


@pytest.mark.parametrize(
    ("kind", "how", "verdict"),
    [
        (KIND.STALL, {}, Verdict.STALLED),
        (KIND.OFF, {}, Verdict.STALLED),
        (KIND.FREEZE, {}, Verdict.FROZEN),
        (KIND.FREEZE, {"is_encoded_anew": True, "is_noisy": True}, Verdict.FROZEN),
        (KIND.LOOP, {"period_s": 2.0}, Verdict.LOOPING),
        (KIND.LOOP, {"period_s": 2.0, "is_encoded_anew": True}, Verdict.LOOPING),
        (KIND.LATE, {"by_s": 7.0}, Verdict.CLOCK_WRONG),
        (KIND.CLOCK_SHIFT, {"by_s": -30.0}, Verdict.CLOCK_WRONG),
    ],
    ids=["stall", "off", "freeze", "freeze anew", "loop", "loop anew", "late", "clock_shift"],
)
def test_each_fault_ends_the_lease_and_gives_no_proof(
    rig: Rig, kind: CameraFaultKind, how: dict[str, float], verdict: Verdict
) -> None:
    rig.armed.start(rig.folder)
    assert isinstance(rig.prove(), Proof)
    rig.street.strike(rig.name, kind, **how)
    # A still hall that repeats may be called either: no difference is seen.
    took_s = rig.wait(verdict, *((Verdict.FROZEN,) if verdict is Verdict.LOOPING else ()))
    assert took_s < 12.0  # 7 s of them are `late` itself
    assert not rig.armed.status.lease.is_live(monotonic_s())
    refusal = rig.prove()
    assert isinstance(refusal, Refusal), refusal
    assert refusal.judgement is not None
    assert refusal.judgement.is_against
    rig.street.strike(rig.name, None)
    wait_until(lambda: isinstance(rig.prove(), Proof), SLOW_S, f"not mended: {rig.armed.status}")
    assert rig.armed.status.lease.is_live(monotonic_s())
    takes = rig.armed.stop()
    if verdict is Verdict.STALLED:
        (begun,), (ended,) = rig.of(EventKind.GAP_BEGUN), rig.of(EventKind.GAP_ENDED)
        assert begun.gap is not None
        assert ended.gap is not None
        assert ended.gap.ended_at is not None
        assert begun.gap.code in ("silent", "cut")
        assert len(takes) >= 2
    assert len(finish(takes, rig.folder)) == 1


@pytest.mark.parametrize(
    "how", [{}, {"is_encoded_anew": True, "is_noisy": True}], ids=["same bytes", "encoded anew"]
)
def test_while_relaxed_few_keyframes_are_looked_at_and_a_picture_that_stands_is_told(
    rig: Rig, how: dict[str, bool]
) -> None:
    rig.armed.start(rig.folder)
    assert isinstance(rig.prove(), Proof)
    rig.armed.relax()
    relaxed_s, parts = monotonic_s(), rig.armed.status.parts
    wait_until(lambda: rig.armed.status.parts > parts + 5 * 9, SLOW_S)  # nine seconds
    looked = [glance.at_s for glance in rig.armed.glances(relaxed_s + 1.0)]  # its run is looked at to its end
    assert 1 <= len(looked) <= 4
    assert all(after - before >= KEYFRAME_EVERY_S for before, after in pairwise(looked))
    assert rig.armed.status.judgement.verdict is Verdict.LIVE
    assert rig.armed.status.lease.is_live(monotonic_s())
    rig.street.strike(rig.name, KIND.FREEZE, **how)
    assert rig.wait(Verdict.FROZEN) < 8.0
    assert not rig.armed.status.lease.is_live(monotonic_s())
    assert isinstance(rig.prove(), Refusal)


def test_a_link_that_is_cut_is_another_take(rig: Rig) -> None:
    rig.armed.start(rig.folder)
    assert isinstance(rig.prove(), Proof)
    rig.street.strike(rig.name, KIND.DROP)
    wait_until(lambda: rig.of(EventKind.GAP_ENDED), SLOW_S)
    (ended,) = rig.of(EventKind.GAP_ENDED)
    assert ended.gap is not None
    assert ended.gap.code == "cut"
    assert ended.gap.length_s(ended.at) < 6.0
    wait_until(lambda: rig.armed.status.parts > 10, SLOW_S)
    takes = rig.armed.stop()
    assert [take.number for take in takes] == [1, 2]
    numbers = [part.number for take in takes for part in take.parts]
    assert numbers == list(range(1, len(numbers) + 1))


def test_in_the_dark_without_a_clock_only_our_lamp_tells(street: Street, tmp_path: Path) -> None:
    rig = Rig(street, tmp_path, has_clock=False, light=-150.0)
    rig.armed.arm()
    rig.armed.start(tmp_path)
    rig.wait(Verdict.TOO_DARK_TO_TELL)
    wait_until(lambda: rig.armed.status.parts > 12, SLOW_S)
    refusal = rig.prove()
    assert isinstance(refusal, Refusal)
    assert refusal.code == Verdict.TOO_DARK_TO_TELL
    assert rig.armed.status.lease.is_live(monotonic_s())  # not known to be false: no alarm
    pattern = draw_pattern(monotonic_s())
    street.do(
        lambda control: control.cameras[rig.name].play(
            Lamp(False, pattern.chips, pattern.chip_s, pattern.begun_s)
        )
    )
    wait_until(lambda: monotonic_s() > pattern.ended_s + 0.5)
    assert look_for(pattern, rig.armed.glances(pattern.begun_s)).is_ours
    rig.armed.disarm()


def test_a_camera_that_is_not_there_when_the_recording_begins_is_a_gap(
    street: Street, tmp_path: Path
) -> None:
    rig = Rig(street, tmp_path)
    street.strike(rig.name, KIND.OFF)
    rig.armed.arm()
    rig.armed.start(tmp_path)
    refusal = rig.armed.prove(0.3)
    assert isinstance(refusal, Refusal)
    assert refusal.code == Verdict.STALLED
    assert len(rig.armed.status.gaps) == 1
    assert rig.armed.stop() == ()
    assert not rig.armed.status.gaps
    rig.armed.disarm()


# ---- what a camera may bring ------------------------------------------------------------------------------


class Bad(CameraMaker):
    """Whatever is wrong with it, by its address."""

    name = "bad"
    label = "Bad"
    form_fields: ClassVar[tuple[FormField, ...]] = ()

    def open(self, camera: Camera) -> Session:
        match camera.address:
            case "hangs":
                time.sleep(30)
            case "unreachable":
                raise CameraUnreachable("no", code="unreachable")
        raise ZeroDivisionError("rtsp://user:password@camera")


def test_a_camera_that_crashes_is_tried_again_ever_more_slowly(caplog: pytest.LogCaptureFixture) -> None:
    armed = ArmedCamera("one", Camera(maker="bad", address="crashes"), Bad())
    armed.arm()
    wait_until(lambda: armed.status.code == "crashed")
    time.sleep(1.0)
    armed.disarm()
    assert 1 <= len(caplog.records) <= 4
    assert "password" not in caplog.text


def test_a_thread_that_does_not_come_back_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlatch.cameras.armed.GIVE_UP_S", 0.2)
    armed = ArmedCamera("one", Camera(maker="bad", address="hangs"), Bad())
    armed.arm()

    def is_stuck() -> bool:
        begun_s = time.monotonic()
        armed.check(monotonic_s())
        assert time.monotonic() - begun_s < 1.0  # nobody waits for it
        return armed.status.state is CameraState.STUCK

    wait_until(is_stuck, SLOW_S)
    assert armed.status.code == "hung"
    armed.disarm()


# ---- the lease, and RTSP ----------------------------------------------------------------------------------


def test_the_lease_lasts_two_seconds_and_only_a_live_part_renews_it() -> None:
    live = Judgement(verdict=Verdict.LIVE, method=Method.CLOCK)
    lease = Lease()
    assert not lease.is_live(0.0)
    lease = lease.renewed(10.0, live)
    assert (lease.until_s, lease.left_s(11.0), lease.left_s(13.0)) == (10.0 + LEASE_S, 1.0, 0.0)
    assert lease.is_live(11.9)
    assert not lease.is_live(12.0)
    assert lease.renewed(9.0, live) == lease  # a part that is told late takes nothing away
    for verdict in Verdict:
        renewed = lease.renewed(20.0, replace(live, verdict=verdict))
        is_against = verdict in (Verdict.FROZEN, Verdict.LOOPING, Verdict.CLOCK_WRONG, Verdict.STALLED)
        assert (renewed == lease) is is_against, verdict


def test_a_snapshot_is_a_picture_without_more(street: Street) -> None:
    name = street.add()
    picture = RtspCamera().snapshot(street.link(name))
    assert picture.startswith(b"\xff\xd8")
    assert b"Exif" not in picture
    assert FACE.top + FACE.cell_height < HEIGHT


@pytest.mark.parametrize(
    ("address", "secrets", "code"),
    [
        ("{camera}", {"password": "wrong"}, "not_let_in"),
        ("{camera}", {"user": "", "password": ""}, "not_let_in"),
        ("{camera}-none", {}, "not_found"),
        ("rtsp://127.0.0.1:1/x", {}, "refused"),
        ("http://127.0.0.1/x", {}, "not_found"),
        ("rtsp://", {}, "not_found"),
        ("rtsp://[", {}, "not_found"),
        ("rtsp://127.0.0.1:99999/x", {}, "not_found"),
        ("rtsp://127.0.0.1:1/\n", {}, "not_found"),
        ("file:///etc/passwd", {}, "not_found"),
    ],
)
def test_why_a_camera_can_t_be_reached_is_said_without_its_secrets(
    street: Street, address: str, secrets: dict[str, str], code: str
) -> None:
    name = street.add()
    link = street.link(name, **secrets)
    camera = replace(link, address=address.replace("{camera}", link.address))
    with pytest.raises(CameraUnreachable) as unreachable:
        RtspCamera().open(camera)
    assert unreachable.value.code == code
    text = repr(unreachable.value) + str(unreachable.value) + repr(camera)
    assert "127.0.0.1" not in text
    assert (link.secrets["password"] or "passwd") not in text


def test_a_camera_leads_nowhere_into_our_own_house(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger typed its address; the name is judged at each connection, which goes to what was judged."""
    link = street.link(street.add())
    asked: list[str] = []

    def resolve(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(name)
        return [(2, 1, 6, "", (number, 0)) for number in answers]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    port = urlsplit(link.address).port
    answers = ["127.0.0.1"]
    with RtspCamera().open(
        replace(link, address=link.address.replace("127.0.0.1", "camera.example"))
    ) as session:
        assert next(iter(session.read())).packet.is_keyframe
    for numbers in (["127.0.0.1"], ["10.0.0.7"], ["8.8.8.8", "127.0.0.1"], ["169.254.169.254"]):
        answers = numbers
        with pytest.raises(CameraUnreachable) as refused:
            RtspCamera().open(replace(link, address=f"rtsp://camera.example:{port}/x", allows_private=False))
        assert refused.value.code == "not_found"
    with pytest.raises(CameraUnreachable) as literal:
        RtspCamera().open(replace(link, allows_private=False))
    assert literal.value.code == "not_found"
    assert set(asked) == {"camera.example"}, "an address that is written by its numbers is asked of nobody"


def test_makers_are_found_by_walking() -> None:
    assert "rtsp" in find_camera_makers()
    with pytest.raises(NotFound):
        get_camera_maker("none")
