"""Anchors: a chain of its own, and what it says of a proof that was rewritten and sealed anew."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from tests.domain.proofs import BEGAN_AT, PUBLIC_KEY, VISIT_ID, export, journal
from tests.domain.test_proof import rewritten

from unlatch.domain.anchor import Anchor, anchor_line, compare, read_anchors
from unlatch.domain.canonical import canonical
from unlatch.domain.proof import hash_of
from unlatch.verify import verify

ROWS = [entry for entry, _ in journal()]


def anchored(numbers: tuple[int, ...] = (3, 20, 37), visit_id: str = VISIT_ID) -> bytes:
    text, previous_hash = b"", None
    for minute, number in enumerate(numbers):
        heads = [(visit_id, number, ROWS[number - 1].hash), ("another visit", minute + 1, "0" * 64)]
        anchor: Anchor = anchor_line(previous_hash, BEGAN_AT + timedelta(minutes=minute), heads)
        text, previous_hash = text + anchor.text, anchor.hash
    return text


def test_a_proof_is_as_it_was_anchored() -> None:
    anchors = read_anchors(anchored(), {VISIT_ID})
    assert (anchors.faults, anchors.lines, len(anchors.heads)) == ((), 3, 3)
    verdict = compare(verify(export(), public_key=PUBLIC_KEY), anchors)
    assert (verdict.is_good, verdict.anchored_until) == (True, 37)


def test_a_visit_that_no_anchor_names_is_good_but_not_vouched_for() -> None:
    verdict = compare(verify(export()), read_anchors(anchored(visit_id="a third visit"), {VISIT_ID}))
    assert (verdict.is_good, verdict.anchored_until) == (True, None)


@pytest.mark.parametrize(
    ("number", "named", "until"), [(1, 3, None), (3, 3, None), (4, 20, 3), (21, 37, 20), (37, 37, 20)]
)
def test_a_journal_rewritten_and_sealed_anew_is_found(number: int, named: int, until: int | None) -> None:
    forged = verify(export(rewritten(journal(), number, to_end=True), attachments=()), public_key=PUBLIC_KEY)
    assert forged.is_good, "only an anchor can tell"
    verdict = compare(forged, read_anchors(anchored(), {VISIT_ID}))
    assert (verdict.faults[0].entry_number, verdict.faults[0].line) == (named, named + 1)
    assert verdict.anchored_until == until


def test_a_journal_whose_end_was_taken_out_and_sealed_anew_is_found() -> None:
    verdict = compare(verify(export(journal(30), attachments=())), read_anchors(anchored(), {VISIT_ID}))
    assert not verdict.is_good
    assert (verdict.faults[0].line, verdict.faults[0].entry_number) == (32, 37)


def test_a_proof_exported_before_its_journal_had_ended_is_good() -> None:
    """The watch after a visit writes on; the exports of the tests are made an hour after the visit began."""
    later = anchor_line(None, BEGAN_AT + timedelta(hours=1, minutes=1), [(VISIT_ID, 37, ROWS[36].hash)])
    early = anchor_line(None, BEGAN_AT + timedelta(minutes=59), [(VISIT_ID, 37, ROWS[36].hash)])
    verdict = compare(verify(export(journal(30), attachments=())), read_anchors(later.text, {VISIT_ID}))
    assert (verdict.is_good, verdict.anchored_until) == (True, None)
    verdict = compare(verify(export(journal(30), attachments=())), read_anchors(early.text, {VISIT_ID}))
    assert not verdict.is_good
    rewritten_before = export(rewritten(journal(), 30, to_end=True), attachments=())
    assert not compare(verify(rewritten_before), read_anchors(later.text, {VISIT_ID})).is_good


def test_every_byte_of_the_anchors_counts() -> None:
    text = anchored()
    for at, byte in enumerate(text):
        changed = text[:at] + bytes((byte ^ 1 << at % 8,)) + text[at + 1 :]
        faults = read_anchors(changed, {VISIT_ID}).faults
        assert faults, at
        assert faults[0].line == text.count(b"\n", 0, at) + 1


def test_a_line_rewritten_taken_out_or_exchanged_breaks_the_chain() -> None:
    lines = anchored().splitlines(keepends=True)
    new = anchor_line(None, BEGAN_AT, []).text
    for changed, line in (
        ([lines[0], lines[2]], 2),
        ([lines[1], lines[0], lines[2]], 2),
        ([new, *lines[1:]], 2),
        ([*lines, lines[-1]], 4),
    ):
        assert read_anchors(b"".join(changed), {VISIT_ID}).faults[0].line == line


def test_a_copy_may_begin_anywhere() -> None:
    lines = anchored().splitlines(keepends=True)
    assert read_anchors(b"".join(lines[1:]), {VISIT_ID}).faults == ()


@pytest.mark.parametrize("at", ["yesterday", "2026-11-22", 5, None])
def test_a_header_whose_time_is_none_is_a_fault_and_no_exception(at: object) -> None:
    lines = export().splitlines(keepends=True)
    header = {**json.loads(lines[0])["header"], "exported_at": at}
    header["hash"] = hash_of({name: value for name, value in header.items() if name != "hash"})
    verdict = verify(canonical({"header": header}) + b"\n" + b"".join(lines[1:]))
    assert (verdict.faults[0].line, verdict.header) == (1, None)
    assert not compare(verdict, read_anchors(anchored(), {VISIT_ID})).is_good


@pytest.mark.parametrize("text", [b"{}\n", b"\n", b"x", b"[" * 10_000 + b"\n", b"\n" * 1_000_001], ids=len)
def test_hostile_anchors_are_faults(text: bytes) -> None:
    anchors = read_anchors(text, {VISIT_ID})
    assert 0 < len(anchors.faults) <= 100
    assert anchors.heads == ()
