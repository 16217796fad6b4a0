"""The journal's chain and its export: equal bytes, good exports, and every byte that is touched is found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from tests.domain.proofs import (
    BEGAN_AT,
    CLIP,
    KEY,
    OTHER_KEY,
    PHOTO,
    PUBLIC_KEY,
    VISIT_ID,
    export,
    journal,
)

from unlatch.domain.canonical import LARGEST_INTEGER, NotCanonical, canonical, read_canonical
from unlatch.domain.proof import (
    Attachment,
    Entry,
    Hidden,
    Kind,
    Private,
    content_of,
    hash_of,
    next_entry,
    seal_private,
    signed_bytes,
    text_of_time,
    time_of_text,
)
from unlatch.domain.verification import Line, Verdict, judge, read_line
from unlatch.verify import is_signature_good, signer_of, verify

plain = st.none() | st.booleans() | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | st.text()
content = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(content)
def test_canonical_bytes_equal_those_of_rfc8785_and_can_be_read_back(value: Any) -> None:
    line = canonical(value)
    assert line == rfc8785.dumps(value)
    assert read_canonical(line) == value


def test_names_are_sorted_as_utf_16_not_as_code_points() -> None:
    value = {"\ufb01": 1, "\U0001f697": 2, "a": 3}
    assert canonical(value) == rfc8785.dumps(value) == '{"a":3,"\U0001f697":2,"\ufb01":1}'.encode()


@pytest.mark.parametrize(
    "value",
    [1.0, {"a": [0.5]}, float("nan"), 2**53, -(2**53), {1: "a"}, {None: 1}, "\ud800", {"\udfff": 1}, b"a",
     {1, 2}, datetime(2026, 1, 1, tzinfo=UTC)],
)  # fmt: skip
def test_what_a_journal_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(NotCanonical):
        canonical(value)


def test_depth_is_limited_both_ways() -> None:
    nested: object = None
    for _ in range(32):
        nested = [nested]
    assert read_canonical(canonical(nested)) == nested
    with pytest.raises(NotCanonical):
        canonical([nested])
    for depth in (33, 5_000, 200_000):
        with pytest.raises(NotCanonical):
            read_canonical(b"[" * depth + b"]" * depth)


@pytest.mark.parametrize(
    "line",
    [b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'"\\u0041"', b"1.0", b"1e3", b"-0", b"NaN",
     b"\xef\xbb\xbf1", b"\xff", b"", b"1 ", b"9007199254740993", b"1" * 5000,
     b'"\\ud800"', "1".encode("utf-16"), b'"\\/"'],
)  # fmt: skip
def test_a_line_written_in_any_other_way_is_refused(line: bytes) -> None:
    with pytest.raises(NotCanonical):
        read_canonical(line)


def test_times_are_utc_with_six_digits_and_only_so() -> None:
    assert text_of_time(BEGAN_AT) == "2026-11-22T10:00:00.123456Z"
    assert time_of_text("2026-11-22T10:00:00.123456Z") == BEGAN_AT
    assert text_of_time(BEGAN_AT.replace(microsecond=0)) == "2026-11-22T10:00:00.000000Z"
    for at in (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1)))):  # noqa: DTZ001
        with pytest.raises(ValueError, match="UTC"):
            text_of_time(at)
    for text in ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.123456+00:00", "2026-11-22 10:00:00.123456Z",
                 "0001-01-01T00:00:00.000000+23:59", "now", "2026-11-22T10:00:00.123456"):  # fmt: skip
        with pytest.raises(ValueError, match=r"."):
            time_of_text(text)


def test_each_entry_bears_the_hash_of_itself_and_of_the_one_before() -> None:
    entries = [entry for entry, _ in journal(5)]
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert entries[0].previous_hash is None
    for before, after in pairwise(entries):
        assert after.previous_hash == before.hash
        shown = content_of(after)
        del shown["hash"]
        assert after.hash == hash_of(shown)


@pytest.mark.parametrize(
    "change",
    [{"at": BEGAN_AT + timedelta(microseconds=1)}, {"kind": Kind.NOTE}, {"name": "x"}, {"who": "x"},
     {"body": {"a": 2}}, {"private_digest": "b" * 64}, {"private_digest": None}],
)  # fmt: skip
def test_every_field_of_an_entry_counts_in_its_hash(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "at": BEGAN_AT, "kind": Kind.FACT, "name": "granted", "who": "platform", "body": {"a": 1},
        "private_digest": "a" * 64,
    }  # fmt: skip
    before = (3, "c" * 64)
    one = next_entry(VISIT_ID, before, **fields)
    other = next_entry(VISIT_ID, before, **{**fields, **change})
    assert one.hash != other.hash
    assert one.hash != next_entry("another", before, **fields).hash
    assert one.hash != next_entry(VISIT_ID, (4, "c" * 64), **fields).hash
    assert one.hash != next_entry(VISIT_ID, (3, "d" * 64), **fields).hash


def test_a_private_digest_depends_on_salt_and_body_and_can_be_kept_without_them() -> None:
    body = {"latitude": "41.878113"}
    digests = {seal_private(body, bytes(16)), seal_private(body, b"\x01" * 16), seal_private({}, bytes(16))}
    assert len(digests) == 3
    with pytest.raises(ValueError, match="16 random bytes"):
        seal_private(body, b"short")
    with pytest.raises(NotCanonical):
        seal_private({"latitude": 41.878113}, bytes(16))


def test_an_export_refuses_a_private_part_that_does_not_belong_to_its_entry() -> None:
    shown = journal(12)
    position, order = shown[10], shown[1]
    assert isinstance(position[1], Private)
    for wrong in (
        (position[0], None),
        (order[0], Hidden.ERASED),
        (position[0], replace(position[1], body={"latitude": "0"})),
    ):
        with pytest.raises(ValueError, match="entry"):
            export([wrong])


def test_a_good_export_is_good_and_shows_what_was_written() -> None:
    text = export()
    verdict = verify(text, public_key=PUBLIC_KEY)
    assert verdict.is_good, verdict.faults
    assert text.count(b"\n") == 40
    assert verdict.is_signed_by_known_key
    assert (verdict.entries, verdict.head) == (37, journal()[-1][0].hash)
    assert [(row.entry, row.private) for row in verdict.rows] == journal()
    assert [row.line for row in verdict.rows] == list(range(2, 39))
    assert verify(text).is_good
    assert not verify(text).is_signed_by_known_key
    assert {type(row.private) for row in verdict.rows} == {Private, Hidden, type(None)}


def test_an_export_of_no_rows_is_good() -> None:
    verdict = verify(export([], attachments=()), public_key=PUBLIC_KEY)
    assert (verdict.is_good, verdict.entries, verdict.head) == (True, 0, None)


# ---- every byte


def touched(text: bytes, positions: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """Each byte of `text` changed in several ways, taken out, and others put in before it: (position, text).

    The position is that of the first byte that differs.
    """
    for at in positions:
        head, byte, tail = text[:at], text[at], text[at + 1 :]
        for other in {byte ^ 1 << at % 8, byte ^ 0x20, (byte + 1) % 256} - {byte}:
            yield at, head + bytes((other,)) + tail
        for put_in in (b" \n"[at % 2], byte):
            changed = head + bytes((put_in, byte)) + tail
            yield first_difference(text, changed, at), changed
        changed = head + tail
        yield first_difference(text, changed, at), changed


def first_difference(text: bytes, changed: bytes, start: int) -> int:
    """Where they first differ, from `start` on: a byte taken out of equal ones shows only after them."""
    while start < min(len(text), len(changed)) and text[start] == changed[start]:
        start += 1
    return start


read_once = lru_cache(maxsize=1_000)(read_line)


def read_again(text: bytes, read: list[Line], changed: bytes, at: int) -> list[Line]:
    """The lines of `changed`, read anew only where they may differ from those of `text`."""
    if changed.count(b"\n") != len(read):
        return [read_once(number, line) for number, line in enumerate(changed.split(b"\n")[:-1], start=1)]
    index = text.count(b"\n", 0, at)
    begin = text.rfind(b"\n", 0, at) + 1
    return [
        *read[:index],
        read_line(index + 1, changed[begin : changed.find(b"\n", begin)]),
        *read[index + 1 :],
    ]


@pytest.mark.parametrize("part", range(4))
def test_whatever_single_byte_is_touched_its_line_is_named(part: int) -> None:
    """Exhaustive over a file of 40 lines. Lines and signatures already checked are not checked anew."""
    text = export()
    read = [read_line(number, line) for number, line in enumerate(text.split(b"\n")[:-1], start=1)]
    is_good_once = lru_cache(maxsize=20_000)(is_signature_good)
    positions = range(part * len(text) // 4, (part + 1) * len(text) // 4)
    count = 0
    for at, changed in touched(text, positions):
        count += 1
        lines = read_again(text, read, changed, at)
        verdict = judge(lines, changed, public_key=PUBLIC_KEY, is_signature_good=is_good_once)
        line = text.count(b"\n", 0, at) + 1
        assert verdict.faults, f"byte {at} of line {line} was touched and not found"
        assert verdict.faults[0].line == line, (at, line, verdict.faults)
        if 2 <= line <= 38:
            assert verdict.faults[0].entry_number == line - 1, (at, line, verdict.faults)
    assert count > 5 * len(positions)


def test_the_quick_way_of_the_test_above_is_the_whole_check() -> None:
    text = export()
    read = [read_line(number, line) for number, line in enumerate(text.split(b"\n")[:-1], start=1)]
    for at, changed in touched(text, range(0, len(text), 397)):
        lines = read_again(text, read, changed, at)
        quick = judge(lines, changed, public_key=PUBLIC_KEY, is_signature_good=is_signature_good)
        assert quick == verify(changed, public_key=PUBLIC_KEY)


# ---- whole lines


def lines_of(text: bytes) -> list[bytes]:
    return text.splitlines(keepends=True)


def first(verdict: Verdict) -> tuple[int, int | None]:
    assert not verdict.is_good
    return verdict.faults[0].line, verdict.faults[0].entry_number


@pytest.mark.parametrize("line", range(1, 41))
def test_a_line_taken_out_is_missed_where_it_stood(line: int) -> None:
    lines = lines_of(export())
    del lines[line - 1]
    assert verify(b"".join(lines)).faults[0].line == line


@pytest.mark.parametrize("line", range(1, 40))
def test_two_lines_exchanged_are_found_at_the_first(line: int) -> None:
    lines = lines_of(export())
    lines[line - 1 : line + 1] = reversed(lines[line - 1 : line + 1])
    found = verify(b"".join(lines)).faults[0].line
    assert found == (line if line < 39 else 40)  # the seal itself, too early: what follows it is named


@pytest.mark.parametrize("line", range(1, 41))
def test_a_line_that_stands_twice_is_found_at_the_second(line: int) -> None:
    lines = lines_of(export())
    lines.insert(line, lines[line - 1])
    assert verify(b"".join(lines)).faults[0].line == line + 1


def test_a_file_cut_anywhere_is_bad() -> None:
    text = export()
    for length in range(0, len(text), 61):
        verdict = verify(text[:length])
        assert not verdict.is_good
        assert verdict.faults[0].line == text.count(b"\n", 0, length) + 1


def test_two_proofs_glued_together_are_bad_after_the_first_seal() -> None:
    assert first(verify(export() + export())) == (41, None)


def test_rows_of_another_visit_are_found() -> None:
    other = [(entry, private) for entry, private in journal(visit_id="another visit")]
    assert first(verify(export(other, attachments=()))) == (2, 1)


def rewritten(shown: list[Any], number: int, *, to_end: bool) -> list[Any]:
    """Row `number` with another body and a hash that fits; `to_end`: and all rows after it chained to it."""
    result = list(shown[: number - 1])
    for entry, private in shown[number - 1 :]:
        body = {"state": "delivered"} if entry.number == number else entry.body
        is_new = entry.number == number or to_end
        previous = (result[-1][0].number, result[-1][0].hash) if result else None
        fields = {
            "kind": entry.kind,
            "name": entry.name,
            "who": entry.who,
            "private_digest": entry.private_digest,
        }
        changed: Entry = next_entry(entry.visit_id, previous, entry.at, body=body, **fields)
        result.append((changed if is_new else entry, private))
    return result


def with_seal_of(changed: bytes, original: bytes) -> bytes:
    return b"".join([*lines_of(changed)[:-1], lines_of(original)[-1]])


@pytest.mark.parametrize("number", [1, 2, 20, 36, 37])
def test_a_row_rewritten_with_a_hash_that_fits_is_named(number: int) -> None:
    original = export(attachments=())
    changed = export(rewritten(journal(), number, to_end=False), attachments=())
    assert first(verify(with_seal_of(changed, original))) == (number + 1, number)


def test_a_tail_rewritten_with_hashes_that_fit_does_not_have_the_sealed_head() -> None:
    changed = export(rewritten(journal(), 20, to_end=True), attachments=())
    assert first(verify(with_seal_of(changed, export(attachments=())))) == (38, 37)


def test_a_rewritten_header_is_named() -> None:
    text = export()
    header = json.loads(lines_of(text)[0])["header"]
    del header["hash"]
    header["made_for"] = "carrier"
    line = canonical({"header": {**header, "hash": hash_of(header)}}) + b"\n"
    assert first(verify(line + b"".join(lines_of(text)[1:]))) == (1, None)


def test_a_private_part_hidden_after_the_seal_is_found() -> None:
    text = export()
    lines = lines_of(text)
    shown = json.loads(lines[11])
    assert "salt" in shown["private"]
    lines[11] = canonical({**shown, "private": "erased"}) + b"\n"
    assert first(verify(b"".join(lines))) == (40, None)


def test_a_proof_sealed_with_another_key_is_bad_for_who_knows_the_key() -> None:
    text = export(key=OTHER_KEY)
    assert verify(text).is_good
    verdict = verify(text, public_key=PUBLIC_KEY)
    assert first(verdict) == (40, None)
    assert not verdict.is_signed_by_known_key


def test_a_seal_whose_signature_is_of_another_key_is_bad() -> None:
    signer = signer_of(OTHER_KEY)
    honest = signer_of(KEY)
    lines = lines_of(export())
    seal = json.loads(lines[-1])["seal"]
    seal["signature"] = signer.sign(signed_bytes(seal)).hex()
    assert seal["public_key"] == honest.public_key.hex()
    lines[-1] = canonical({"seal": seal}) + b"\n"
    assert first(verify(b"".join(lines))) == (40, None)


def test_an_attachment_that_no_row_names_is_bad() -> None:
    foreign = Attachment(media_type="image/png", content=b"another photo")
    assert first(verify(export(attachments=(foreign,)))) == (39, None)


def test_two_attachments_are_good_in_one_order_and_may_not_repeat() -> None:
    photo = Attachment(media_type="image/jpeg", content=PHOTO)
    clip = Attachment(media_type="video/mp4", content=CLIP)
    assert export(attachments=(photo, clip)) == export(attachments=(clip, photo))
    assert verify(export(attachments=(photo, clip))).is_good
    assert first(verify(export(attachments=(photo, photo)))) == (40, None)


# ---- hostile files


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"\n" * 50, b"{}\n", b"null\n", b"[]\n" * 3, b'{"seal":{}}\n', b'{"header":{}}\n',
     b'{"header":1}\n', b'{"entry":null}\n' * 3, b'{"attachment":[]}\n' * 3,
     b"\x00" * 1000, b"[" * 100_000 + b"\n",
     b'{"header":' + b'{"a":' * 50_000 + b"\n", b"9" * 100_000 + b"\n", b'"' + b"a" * 300_000 + b'"\n',
     b"\n" * 100_001, b"x" * (64 * 2**20 + 1)],
    ids=lambda text: f"{bytes(text[:12])!r} x {len(text)}",
)  # fmt: skip
def test_a_hostile_file_is_bad_and_no_exception(text: bytes) -> None:
    verdict = verify(text)
    assert not verdict.is_good
    assert len(verdict.faults) <= 100


VALUES = [None, True, 0, -1, 2**53 - 1, "", "x", "0" * 64, [], ["x"], {}, {"a": None}]


@pytest.mark.parametrize("line", [1, 2, 12, 39, 40])
def test_any_field_may_be_of_any_kind_and_raises_nothing(line: int) -> None:
    """With a hash that fits, so that the check of the field itself is reached."""
    lines = lines_of(export())
    [(top, shown), *rest] = json.loads(lines[line - 1]).items()
    for name in shown:
        for value in VALUES:
            if value == shown[name] or (name == "about" and isinstance(value, dict)):
                continue
            changed = {**shown, name: value}
            if "hash" in changed and name != "hash":
                del changed["hash"]
                changed["hash"] = hash_of(changed)
            lines_now = [*lines]
            lines_now[line - 1] = canonical({top: changed, **dict(rest)}) + b"\n"
            assert not verify(b"".join(lines_now), public_key=PUBLIC_KEY).is_good, (line, name, value)


def test_a_row_may_not_be_longer_than_its_limit() -> None:
    long = next_entry(
        VISIT_ID, None, BEGAN_AT, kind=Kind.NOTE, name="n", who="w", body={"text": "a" * 300_000}
    )
    assert first(verify(export([(long, None)], attachments=()))) == (2, 1)
