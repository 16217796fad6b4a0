"""One flipped bit in a clip: `unlatch verify` names the part. Tried with a clip of the town's film."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cameras.test_recording import record
from tests.domain.proofs import BEGAN_AT, KEY, PUBLIC_KEY, VISIT_ID, signer_of

from unlatch.cameras.boxes import walk
from unlatch.cameras.finishing import Clip, describe, finish
from unlatch.cameras.recording import TakeFile
from unlatch.domain.clip import Part, last_link
from unlatch.domain.clip_parts import CLIP_PARTS_TYPE, read_clip_parts, write_clip_parts
from unlatch.domain.evidence import make_evidence
from unlatch.domain.proof import Attachment, Entry, Kind, export_proof, next_entry
from unlatch.verify import main as verify_files
from unlatch.verify import verify

GAP_S = 4
RECORDING, CLIP = "rec_1", "cli_1_1"


@dataclass(frozen=True, kw_only=True)
class Filmed:
    """Two takes of 2.4 and 1.2 seconds with a gap of four, and the clip of them."""

    parts: tuple[Part, ...]
    clip: Clip
    content: bytes
    length_ms: int
    document: bytes


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Filmed:
    return film(tmp_path_factory.mktemp("filmed"))


def film(folder: Path, seed: int = 0) -> Filmed:
    first = record(folder, 24, seed=seed)
    second = record(folder, 12, number=2, next_part=first.parts[-1].number + 1, seed=seed)
    takes: tuple[TakeFile, ...] = (
        first,
        replace(second, begun_at=first.begun_at + timedelta(seconds=2.4 + GAP_S)),
    )
    (clip,) = finish(takes, folder)
    parts = tuple(part for take in takes for part in take.parts)
    return Filmed(
        parts=parts,
        clip=clip,
        content=clip.path.read_bytes(),
        length_ms=describe(clip.path).length_ms,
        document=write_clip_parts(parts, clip.places),
    )


def journal_of(filmed: Filmed, *, is_erased: bool = False, **changes: Any) -> list[Entry]:
    """What a visit's journal says of it: a link after every tenth part, the clip, and its erasure."""
    lines: list[tuple[str, str, dict[str, Any]]] = [
        (
            "recording_link",
            "camera:cam_1",
            {
                "recording": RECORDING,
                "take": filmed.parts[number - 1].take,
                "part": number,
                "link": last_link(filmed.parts[:number]).hex(),
            },
        )
        for number in range(10, len(filmed.parts) + 1, 10)
    ]
    kept = {
        "recording": RECORDING,
        "clip": CLIP,
        "sha256": hashlib.sha256(filmed.content).hexdigest(),
        "size": len(filmed.content),
        "length_ms": filmed.length_ms,
        "takes": 2,
        "parts": len(filmed.parts),
        "link": last_link(filmed.parts).hex(),
        "parts_sha256": hashlib.sha256(filmed.document).hexdigest(),
        **changes,
    }
    lines.append(("clip_kept", "camera:cam_1", kept))
    if is_erased:
        lines.append(("clip_erased", "clock", {"clip": CLIP, "recording": RECORDING}))
    entries: list[Entry] = []
    for number, (name, who, body) in enumerate(lines):
        previous = (entries[-1].number, entries[-1].hash) if entries else None
        at = BEGAN_AT + timedelta(seconds=number)
        entries.append(next_entry(VISIT_ID, previous, at, kind=Kind.NOTE, name=name, who=who, body=body))
    return entries


def proof_of(entries: Sequence[Entry], *documents: bytes) -> bytes:
    return export_proof(
        visit_id=VISIT_ID,
        exported_at=BEGAN_AT + timedelta(days=1),
        made_for="consignee:con_1",
        entries=[(entry, None) for entry in entries],
        signer=signer_of(KEY),
        attachments=[Attachment(media_type=CLIP_PARTS_TYPE, content=one) for one in documents],
    )


class Desk:
    """Where someone sits with a proof, a clip and `unlatch verify`."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.proof, self.clip = folder / "visit.proof", folder / "clip.mp4"
        self._capsys = capsys

    def put(self, filmed: Filmed, **changes: Any) -> None:
        self.proof.write_bytes(proof_of(journal_of(filmed, **changes), filmed.document))
        self.clip.write_bytes(filmed.content)

    def check(self, *more: str, has_clip: bool = True) -> tuple[int, str]:
        clips = ["--clip", str(self.clip)] if has_clip else []
        code = verify_files([str(self.proof), "--key", PUBLIC_KEY.hex(), *clips, *more])
        return code, self._capsys.readouterr().out

    def find(self, content: bytes) -> tuple[int, dict[str, Any]]:
        """What is said of the one clip, if it is this."""
        self.clip.write_bytes(content)
        code, printed = self.check("--json")
        (found,) = json.loads(printed)["clips"]
        return code, found


@pytest.fixture
def desk(tmp_path: Path, filmed: Filmed, capsys: pytest.CaptureFixture[str]) -> Desk:
    desk = Desk(tmp_path, capsys)
    desk.put(filmed)
    return desk


def flip(content: bytes, at: int, bit: int = 0) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    return bytes(changed)


def test_a_whole_clip_is_good_and_its_parts_are_chained_as_the_journal_has_it(
    desk: Desk, filmed: Filmed
) -> None:
    code, printed = desk.check()
    assert code == 0
    assert f"{desk.clip}: good" in printed
    assert f"clip {CLIP} of visit {VISIT_ID}" in printed
    assert f"{len(filmed.parts)} parts, chained as the journal has it" in printed
    assert "every bit is as it was kept" in printed


def test_a_flipped_bit_anywhere_in_the_pictures_names_its_part_and_when_it_is_shown(
    desk: Desk, filmed: Filmed
) -> None:
    """Every part: its first bit, its last bit, and one drawn by lot."""
    lot = random.Random(4)
    tried = 0
    for place, part in zip(filmed.clip.places, filmed.parts, strict=True):
        assert place.first_ms is not None
        inside = lot.randrange(place.offset, place.offset + place.size)
        for at, bit in ((place.offset, 7), (place.offset + place.size - 1, 0), (inside, lot.randrange(8))):
            code, found = desk.find(flip(filmed.content, at, bit))
            assert code == 1
            assert (found["state"], found["clip_id"]) == ("touched", CLIP)
            (run,) = found["touched"]
            assert (run["take"], run["first_part"], run["last_part"]) == (part.take, part.number, part.number)
            assert run["from_ms"] == place.first_ms
            assert run["until_ms"] == place.first_ms + 200
            tried += 1
    assert tried == 3 * len(filmed.parts) > 50


def test_it_is_said_in_words(desk: Desk, filmed: Filmed) -> None:
    desk.clip.write_bytes(flip(filmed.content, filmed.clip.places[9].offset + 5))
    code, printed = desk.check()
    assert code == 1
    assert f"{desk.clip}: BAD" in printed
    assert "part 10 of take 1, 1.8 s to 2.0 s: not what was recorded" in printed
    desk.clip.write_bytes(flip(filmed.content, filmed.clip.places[-1].offset))
    assert re.search(rf"part {len(filmed.parts)} of take 2, 7\.\d+ s to 7\.\d+ s: not", desk.check()[1]), (
        "a time of the clip, behind the gap; not of the take"
    )


def test_neighbours_are_told_as_one_and_others_apart(desk: Desk, filmed: Filmed) -> None:
    content = filmed.content
    for number in (3, 4, 5, 9, 12, 13):
        content = flip(content, filmed.clip.places[number - 1].offset)
    _, found = desk.find(content)
    told = [(run["take"], run["first_part"], run["last_part"]) for run in found["touched"]]
    assert told == [(1, 3, 5), (1, 9, 9), (1, 12, 12), (2, 13, 13)], "a take's end parts them"
    assert found["touched"][0]["text"] == "parts 3 to 5 of take 1, 0.4 s to 1.0 s"


def test_a_touched_head_is_told_from_a_touched_picture(desk: Desk, filmed: Filmed) -> None:
    begin, end = filmed.clip.places[0].offset, filmed.clip.places[-1].offset + filmed.clip.places[-1].size
    with filmed.clip.path.open("rb") as file:
        boxes = list(walk(file, 0, len(filmed.content)))
    outside = [at for box in boxes for at in (box.offset, box.end - 1) if not begin <= at < end]
    assert len(outside) >= 4
    for at in outside:
        code, found = desk.find(flip(filmed.content, at))
        assert (code, found["state"], found["touched"]) == (1, "touched", [])
        assert "touched outside of them (its head" in found["what"]


def test_bytes_that_are_missing_or_put_in_are_told_and_the_picture_around_them_is_named(
    desk: Desk, filmed: Filmed
) -> None:
    place = filmed.clip.places[6]
    middle = place.offset + place.size // 2
    for content, what in (
        (filmed.content[:middle] + b"\0" * 9 + filmed.content[middle:], "9 bytes were put in"),
        (filmed.content[: middle - 4] + filmed.content[middle:], "4 bytes are missing"),
    ):
        code, found = desk.find(content)
        assert code == 1
        assert what in found["what"]
        assert "moved by as much" in found["what"]
        assert [run["first_part"] for run in found["touched"]] == [7]
        assert [run["last_part"] for run in found["touched"]] == [7]
    last = filmed.clip.places[-1]
    code, found = desk.find(filmed.content[: last.offset + 10])
    assert [run["first_part"] for run in found["touched"]] == [last.part]
    assert "bytes are missing" in found["what"]
    code, found = desk.find(filmed.content + b"more")
    assert (code, found["touched"]) == (1, [])
    assert found["what"].startswith("4 bytes were put in; every picture is as it was recorded")


def test_a_file_that_is_no_clip_of_the_visit_is_extra_and_what_was_not_given_is_named(
    desk: Desk, filmed: Filmed, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = film(other, seed=7).content + b"x"
    desk.clip.write_bytes(stranger)
    code, printed = desk.check("--json")
    assert code == 1
    found = {one["state"]: one for one in json.loads(printed)["clips"]}
    assert set(found) == {"unknown", "not_given"}
    assert found["unknown"]["file"] == str(desk.clip)
    assert (found["not_given"]["clip_id"], found["not_given"]["is_good"]) == (CLIP, True)
    desk.clip.write_bytes(b"")
    assert desk.check()[0] == 1
    code, printed = desk.check(has_clip=False)
    assert code == 0
    assert f"clip {CLIP} of visit {VISIT_ID}: not compared" in printed


def test_an_erased_clip_says_when_and_by_whom_and_its_chain_still_holds(desk: Desk, filmed: Filmed) -> None:
    desk.put(filmed, is_erased=True)
    code, printed = desk.check(has_clip=False)
    assert code == 0
    assert f"clip {CLIP} of visit {VISIT_ID}: erased" in printed
    assert re.search(r"erased at 2026-11-22 10:00:0\d \(UTC\) by clock", printed)
    assert "chained as the journal has it" in printed
    code, printed = desk.check()
    assert code == 0
    assert "the platform's own copy has been erased since" in printed


@pytest.mark.parametrize("what", ["link", "parts", "a part", "a place", "order"])
def test_parts_that_are_not_those_of_the_journal_are_a_fault_of_the_proof(
    desk: Desk, filmed: Filmed, what: str
) -> None:
    """As if the platform itself had written a false line, or kept other parts: sealed and chained all the same."""
    entries = journal_of(filmed)
    row, document = len(entries), filmed.document
    if what == "link":
        entries = journal_of(filmed, link="0" * 64)
    elif what == "parts":
        entries = journal_of(filmed, parts=len(filmed.parts) + 1)
    else:
        parts, places = list(filmed.parts), list(filmed.clip.places)
        if what == "a part":
            parts[10] = replace(parts[10], sha256=bytes(32))
        elif what == "a place":
            places[3] = replace(places[3], offset=places[3].offset - 1)
        else:
            del parts[2], places[2]
        document = write_clip_parts(parts, places)
        entries = journal_of(filmed, parts_sha256=hashlib.sha256(document).hexdigest())
    verdict = verify(proof_of(entries, document), public_key=PUBLIC_KEY)
    assert not verdict.is_good
    assert verdict.faults[0].entry_number == row
    desk.proof.write_bytes(proof_of(entries, document))
    code, printed = desk.check("--json")
    assert code == 1
    assert json.loads(printed)["clips"][0]["state"] == "unknown", (
        "a proof that does not hold vouches for nothing"
    )


def test_an_early_link_that_differs_names_its_own_row(filmed: Filmed) -> None:
    parts = list(filmed.parts)
    parts[4] = replace(parts[4], first_ms=parts[4].first_ms + 1)
    document = write_clip_parts(parts, filmed.clip.places)
    entries = journal_of(
        filmed, parts_sha256=hashlib.sha256(document).hexdigest(), link=last_link(parts).hex()
    )
    (fault,) = verify(proof_of(entries, document), public_key=PUBLIC_KEY).faults
    assert (fault.entry_number, fault.line) == (1, 2)
    assert "up to number 10" in fault.what


def test_a_proof_without_parts_is_good_and_says_that_no_part_can_be_named(desk: Desk, filmed: Filmed) -> None:
    """As one of an earlier release, or one that had no room for them."""
    for entries in (journal_of(filmed), journal_of(filmed, parts_sha256=None)):
        desk.proof.write_bytes(proof_of(entries))
        code, found = desk.find(filmed.content)
        assert (code, found["state"]) == (0, "whole")
        code, found = desk.find(flip(filmed.content, filmed.clip.places[2].offset))
        assert (code, found["state"], found["touched"]) == (1, "touched", [])
        assert "its parts are not in the proof" in found["what"]


def test_parts_that_no_row_names_are_found(filmed: Filmed) -> None:
    verdict = verify(proof_of(journal_of(filmed, parts_sha256="1" * 64), filmed.document))
    assert [fault.what for fault in verdict.faults] == ["no row names this attachment"]


def test_the_evidence_of_a_claim_vouches_for_clips_too(desk: Desk, filmed: Filmed) -> None:
    proof = proof_of(journal_of(filmed), filmed.document)
    desk.proof.write_bytes(
        make_evidence(
            claim_id="clm_1",
            made_at=BEGAN_AT,
            files={f"visits/{VISIT_ID}.unlatch-proof": proof},
            visits=[VISIT_ID],
            left_out=[],
            signer=signer_of(KEY),
        )
    )
    code, found = desk.find(flip(filmed.content, filmed.clip.places[2].offset + 1))
    assert (code, found["touched"][0]["first_part"]) == (1, 3)
    assert desk.find(filmed.content)[0] == 0


def test_a_clip_that_can_not_be_read_is_said_so(desk: Desk, tmp_path: Path) -> None:
    for name in (tmp_path / "none.mp4", tmp_path):
        assert verify_files([str(desk.proof), "--clip", str(name)]) == 2
    huge = tmp_path / "huge.mp4"
    with huge.open("wb") as file:
        file.truncate(4 * 2**30 + 1)
    assert verify_files([str(desk.proof), "--clip", str(huge)]) == 2


def test_the_document_reads_back_and_a_touched_one_does_not(filmed: Filmed) -> None:
    content = read_clip_parts(filmed.document)
    assert content.parts == filmed.parts
    assert content.places == filmed.clip.places
    lot = random.Random(1)
    for at in (0, 1, len(filmed.document) - 1, *lot.sample(range(len(filmed.document)), 40)):
        with pytest.raises(ValueError, match=r"."):
            read_clip_parts(flip(filmed.document, at, lot.randrange(8)))
    for wrong in (b"", filmed.document + b"\0", filmed.document[:-1]):
        with pytest.raises(ValueError, match=r"."):
            read_clip_parts(wrong)
    with pytest.raises(ValueError, match="one place"):
        write_clip_parts(filmed.parts[1:], filmed.clip.places)
