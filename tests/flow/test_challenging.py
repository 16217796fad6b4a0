"""What a camera was proven by counts for it where its enrolment has shown that, and only then."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from unlatch.cameras.glances import Judgement, Method, Verdict
from unlatch.cameras.proof import Proof, Refusal
from unlatch.flow.challenging import NOT_ENROLLED_SO, PATIENCE_S, check, may_be_lit
from unlatch.store.cameras import CameraRow, Held

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def camera(*methods: Method) -> CameraRow:
    return CameraRow(
        id="cam_1", access_point_id="acc_1", maker="rtsp", name="Hall", sealed=b"", clock=None,
        methods=[method.value for method in methods], sees_door=True, enrolled_at=NOW, check_by=NOW, created_at=NOW,
        removed_at=None,
    )  # fmt: skip


def proof(method: Method | None) -> Proof:
    return Proof(
        made_at=NOW, made_s=0.0, take=1, part=1, frames=3, sha256=b"", clock_apart_s=None,
        judgement=Judgement(verdict=Verdict.LIVE, method=method),
    )  # fmt: skip


@pytest.mark.parametrize(("enrolled", "shown"), [*product(Method, Method)])
def test_a_proof_counts_by_the_method_that_was_enrolled(enrolled: Method, shown: Method) -> None:
    answer = check(proof(shown), camera(enrolled), frozenset(Method))
    if enrolled is shown:
        assert answer == proof(shown)
    else:
        assert isinstance(answer, Refusal), "a clock that is covered is no reason to believe what moves"
        assert answer.code == NOT_ENROLLED_SO


def test_motion_does_not_count_by_night() -> None:
    by_night = frozenset(Method) - {Method.MOTION}
    assert isinstance(check(proof(Method.MOTION), camera(Method.MOTION), by_night), Refusal)
    for method in (Method.CLOCK, Method.LIGHT):
        assert isinstance(check(proof(method), camera(*Method), by_night), Proof)


def test_what_rests_on_nothing_counts_for_nothing() -> None:
    assert isinstance(check(proof(None), camera(*Method), frozenset(Method)), Refusal)
    refusal = Refusal(code="frozen", judgement=None)
    assert check(refusal, camera(*Method), frozenset(Method)) is refusal


def test_a_light_is_tried_where_the_picture_can_not_tell() -> None:
    held = Held(camera=camera(Method.LIGHT), socket="/nowhere")
    for code in (Verdict.TOO_STILL_TO_TELL, Verdict.TOO_DARK_TO_TELL, NOT_ENROLLED_SO):
        assert may_be_lit(held, {"cam_1": str(code)}, 0.0)
        assert not may_be_lit(Held(camera=camera(Method.CLOCK), socket="/nowhere"), {"cam_1": str(code)}, 9.0)
        both = Held(camera=camera(Method.LIGHT, Method.CLOCK), socket="/nowhere")
        assert not may_be_lit(both, {"cam_1": str(code)}, 0.5), "its clock may yet be read"
        assert may_be_lit(both, {"cam_1": str(code)}, PATIENCE_S)
    for code in (
        Verdict.FROZEN,
        Verdict.LOOPING,
        Verdict.CLOCK_WRONG,
        Verdict.STALLED,
        "offline",
        "not_on_disk",
    ):
        assert not may_be_lit(held, {"cam_1": str(code)}, 9.0)
    assert not may_be_lit(held, {}, 9.0)
