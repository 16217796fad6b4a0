"""What the journal of a visit says of its clips, and whether their parts are those that it was told of.

While a camera records, the journal gets a link every two seconds (`recording_link`: part number, link), and when the
clip is kept its identity and the last link of all (`clip_kept`). Whoever has the parts can reckon every link anew.
Reads lines that anyone may have written: what is not of its kind is passed over, and nothing is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from unlatch.domain.clip import FIRST_LINK, Part, link_of
from unlatch.domain.clip_parts import ClipParts, read_clip_parts
from unlatch.domain.proof import Entry, Kind

CLIP_KEPT, CLIP_ERASED, RECORDING_LINK = "clip_kept", "clip_erased", "recording_link"
MOST_CLIPS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptClip:
    """A clip, as a journal names it."""

    id: str
    recording_id: str
    entry_number: int
    kept_at: datetime
    sha256: str  # of the clip itself, hexadecimal
    size: int
    length_ms: int
    parts_sha256: str | None  # of the document of its parts; None: kept by a release that named none
    content: ClipParts | None  # None: the document is not at hand
    erased_at: datetime | None = None
    erased_by: str | None = None  # "clock", "consignee:con_1"

    @property
    def length_s(self) -> float:
        return self.length_ms / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenLink:
    """A row that the parts contradict."""

    entry_number: int
    what: str


def list_kept_clips(entries: Iterable[Entry], documents: Mapping[str, bytes]) -> tuple[KeptClip, ...]:
    """The clips that a journal names, in its order. `documents`: of parts, by their SHA-256 (hexadecimal)."""
    found: dict[str, KeptClip] = {}
    for entry in entries:
        if entry.kind is not Kind.NOTE:
            continue
        if entry.name == CLIP_KEPT and len(found) < MOST_CLIPS:
            if (clip := _read_kept(entry, documents)) is not None:
                found.setdefault(clip.id, clip)
        elif entry.name == CLIP_ERASED:
            clip = found.get(str(entry.body.get("clip")))
            if clip is not None and clip.erased_at is None:
                found[clip.id] = replace(clip, erased_at=entry.at, erased_by=entry.who)
    return tuple(found.values())


def _read_kept(entry: Entry, documents: Mapping[str, bytes]) -> KeptClip | None:
    body = entry.body
    texts = [body.get(name) for name in ("clip", "recording", "sha256")]
    numbers = [body.get(name) for name in ("size", "length_ms")]
    if not all(isinstance(one, str) for one in texts) or not all(_is_count(one) for one in numbers):
        return None
    named = body.get("parts_sha256")
    parts_sha256 = named if isinstance(named, str) else None
    return KeptClip(
        id=body["clip"],
        recording_id=body["recording"],
        entry_number=entry.number,
        kept_at=entry.at,
        sha256=body["sha256"],
        size=body["size"],
        length_ms=body["length_ms"],
        parts_sha256=parts_sha256,
        content=_read_document(documents.get(parts_sha256 or "")),
    )


def _read_document(document: bytes | None) -> ClipParts | None:
    try:
        return None if document is None else read_clip_parts(document)
    except ValueError:
        return None


def find_broken_links(entries: Sequence[Entry], documents: Mapping[str, bytes]) -> tuple[BrokenLink, ...]:
    """Rows that the parts contradict, at most one a recording: the first. Without documents nothing is contradicted."""
    broken: list[BrokenLink] = []
    recordings: dict[str, list[KeptClip]] = {}
    for clip in list_kept_clips(entries, documents):
        recordings.setdefault(clip.recording_id, []).append(clip)
        if clip.content is None and clip.parts_sha256 in documents:
            broken.append(
                BrokenLink(entry_number=clip.entry_number, what="the parts that it names can't be read")
            )
    for recording_id, clips in recordings.items():
        if all(clip.content is not None for clip in clips):
            found = _find_broken(recording_id, clips, entries)
            broken += [] if found is None else [found]
    return tuple(broken)


def _find_broken(recording_id: str, clips: Sequence[KeptClip], entries: Sequence[Entry]) -> BrokenLink | None:
    parts = [part for clip in clips if clip.content is not None for part in clip.content.parts]
    parts.sort(key=lambda part: part.number)
    last = max(clip.entry_number for clip in clips)
    if [part.number for part in parts] != list(range(1, len(parts) + 1)):
        return BrokenLink(entry_number=last, what="parts of this recording are missing, or there twice")
    if (misplaced := _find_misplaced(clips)) is not None:
        return misplaced
    links = _links_of(parts)
    for entry in entries:
        if entry.kind is not Kind.NOTE or entry.body.get("recording") != recording_id:
            continue
        number = entry.body.get({RECORDING_LINK: "part", CLIP_KEPT: "parts"}.get(entry.name, ""))
        if number is None:
            continue
        if not _is_count(number) or not 0 <= number < len(links):
            what = f"it speaks of part {number}, and the recording has {len(parts)}"
            return BrokenLink(entry_number=entry.number, what=what)
        if entry.body.get("link") != links[number].hex():
            what = (
                f"the parts up to number {number} are not those that were recorded: their link is another one"
            )
            return BrokenLink(entry_number=entry.number, what=what)
    return None


def _links_of(parts: Iterable[Part]) -> list[bytes]:
    """The link after each part, by its number; before the first one, FIRST_LINK."""
    links = [FIRST_LINK]
    for part in parts:
        links.append(link_of(links[-1], part))
    return links


def _find_misplaced(clips: Iterable[KeptClip]) -> BrokenLink | None:
    """Each part stands behind the one before it, within its clip: so no byte of a picture is of two parts or none."""
    for clip in clips:
        end = 0
        for place in clip.content.places if clip.content is not None else ():
            if place.offset < end or place.offset + place.size > clip.size:
                what = f"part {place.part} stands where it can't stand in the clip"
                return BrokenLink(entry_number=clip.entry_number, what=what)
            end = place.offset + place.size
    return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
