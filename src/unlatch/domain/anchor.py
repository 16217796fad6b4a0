"""Anchors: the heads of many visits' journals, written outside the database every minute (A1).

Who holds an old copy of this file can tell whether a journal was rewritten later, whoever did it and whatever
key it was sealed with. One canonical JSON object per line, each ended by one LF:

    {"at":"2026-11-22T10:00:00.000000Z","hash","heads":[[visit_id, number, hash], ...],"previous_hash"}

Each line bears the SHA-256 of itself without `hash`, and the hash of the line before. A copy may begin
anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from unlatch.domain.canonical import NotCanonical, canonical, read_canonical
from unlatch.domain.proof import hash_of, text_of_time, time_of_text
from unlatch.domain.verification import MOST_FAULTS, Fault, Verdict

LARGEST_BYTES = 256 * 2**20
LONGEST_LINE_BYTES = 16 * 2**20
MOST_LINES = 1_000_000
CLOCKS_APART = timedelta(seconds=10)  # of the machines that anchor and that export, at most
_NAMES = {"at", "hash", "heads", "previous_hash"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One line of the file of anchors (with its LF), and the hash that the next one must bear."""

    text: bytes
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """At `at`, the journal of `visit_id` ended with row `number`, which had this hash."""

    visit_id: str
    number: int
    hash: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """What a file of anchors says of the visits that were asked for."""

    faults: tuple[Fault, ...]
    heads: tuple[Head, ...]
    lines: int


def anchor_line(previous_hash: str | None, at: datetime, heads: Iterable[tuple[str, int, str]]) -> Anchor:
    """The next line: (visit_id, number, hash) of each journal that grew since the last. Raises ValueError."""
    content: dict[str, object] = {
        "at": text_of_time(at),
        "heads": [list(head) for head in sorted(heads)],
        "previous_hash": previous_hash,
    }
    content["hash"] = hash_of(content)
    return Anchor(text=canonical(content) + b"\n", hash=str(content["hash"]))


def read_anchors(text: bytes, visit_ids: Collection[str]) -> Anchors:
    """Check the chain of a file of anchors and keep what it says of `visit_ids`."""
    if len(text) > LARGEST_BYTES or text.count(b"\n") > MOST_LINES:
        what = f"larger than {LARGEST_BYTES} bytes or {MOST_LINES} lines: not read"
        return Anchors(faults=(Fault(line=1, entry_number=None, what=what),), heads=(), lines=0)
    lines = text.split(b"\n")
    faults: list[Fault] = []
    heads: list[Head] = []
    end = lines.pop()
    previous_hash: object = None
    for number, line in enumerate(lines, start=1):
        try:
            content = _checked(line)
            if number > 1 and previous_hash is not None and content["previous_hash"] != previous_hash:
                raise NotCanonical("it does not follow the line before: a line was rewritten or taken out")
            heads += _heads_of(content, visit_ids)
            previous_hash = content["hash"]
        except ValueError as wrong:
            faults.append(Fault(line=number, entry_number=None, what=str(wrong)))
            previous_hash = None
    if end:
        what = "the file does not end with a line feed: it was cut or changed"
        faults.append(Fault(line=len(lines) + 1, entry_number=None, what=what))
    return Anchors(faults=tuple(faults[:MOST_FAULTS]), heads=tuple(heads), lines=len(lines))


def _checked(line: bytes) -> Mapping[str, Any]:
    if len(line) > LONGEST_LINE_BYTES:
        raise NotCanonical(f"longer than {LONGEST_LINE_BYTES} bytes")
    content = read_canonical(line)
    if not isinstance(content, dict) or set(content) != _NAMES:
        raise NotCanonical("not a line of anchors")
    if content["hash"] != hash_of({name: value for name, value in content.items() if name != "hash"}):
        raise NotCanonical("this line was changed: its hash is not the one of what it says")
    return content


def _heads_of(content: Mapping[str, Any], visit_ids: Collection[str]) -> list[Head]:
    if not isinstance(content["at"], str) or not isinstance(content["heads"], list):
        raise NotCanonical("a field of this line is not of its kind")
    at = time_of_text(content["at"])
    found = []
    for head in content["heads"]:
        if not isinstance(head, list) or [type(part) for part in head] != [str, int, str]:
            raise NotCanonical("a head is not [visit_id, number, hash]")
        if head[0] in visit_ids:
            found.append(Head(visit_id=head[0], number=head[1], hash=head[2], at=at))
    return found


def compare(verdict: Verdict, anchors: Anchors) -> Verdict:
    """The verdict with what the anchors say of its visit: faults, and up to which row they vouch for it.

    Faults of the file of anchors itself are not added: what still holds of it counts. A row that was anchored after
    the export was made is not missing from it: a journal grows until its watch is over.
    """
    visit_id = verdict.header["visit_id"] if verdict.header else None
    rows = {row.entry.number: row for row in verdict.rows}
    faults = list(verdict.faults)
    anchored_until = None
    exported_at = time_of_text(verdict.header["exported_at"]) if verdict.header else None
    for head in sorted((head for head in anchors.heads if head.visit_id == visit_id), key=_number):
        row, when = rows.get(head.number), text_of_time(head.at)
        if row is None and exported_at is not None and head.at > exported_at - CLOCKS_APART:
            break
        if row is None:
            line = verdict.seal_line or (verdict.rows[-1].line + 1 if verdict.rows else 1)
            what = f"row {head.number}, anchored at {when}, is missing"
        elif row.entry.hash != head.hash:
            line = row.line
            what = f"row {head.number} had another hash when it was anchored at {when}: it was rewritten" + (
                f" (or one after row {anchored_until})" if anchored_until else ", or one before it"
            )
        else:
            anchored_until = head.number
            continue
        faults.append(Fault(line=line, entry_number=head.number, what=what))
        break
    ordered = tuple(sorted(faults, key=lambda fault: fault.line))
    return replace(verdict, faults=ordered, anchored_until=anchored_until)


def _number(head: Head) -> int:
    return head.number
