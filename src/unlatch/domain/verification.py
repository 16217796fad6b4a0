"""Is this exported proof whole? Reads `unlatch-proof/1` (`proof.py`), names the first row that was touched.

Nothing is repaired and nothing is taken on trust: each line must be written in exactly the canonical way,
each row must bear its own hash and that of the row before, and the seal must be signed over every byte.
Whatever single byte is changed, put in or taken out, the first fault bears the number of its line.

What can't be found without the operator's key or an anchor (`anchor.py`): a whole file written anew by
someone who sealed it with a key of their own. `is_signed_by_known_key` says whether that was looked at.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from unlatch.domain.canonical import NotCanonical, read_canonical
from unlatch.domain.clip_chain import find_broken_links
from unlatch.domain.clip_parts import CLIP_PARTS_TYPE
from unlatch.domain.proof import (
    FORMAT,
    Entry,
    Hidden,
    Kind,
    Private,
    hash_of,
    key_id_of,
    seal_private,
    signed_bytes,
    time_of_text,
)

LARGEST_BYTES = 64 * 2**20
LONGEST_ROW_BYTES = 256 * 2**10
MOST_LINES = 100_000
MOST_FAULTS = 100

IsSignatureGood = Callable[[bytes, bytes, bytes], bool]  # public key, signature, message
_HASH = re.compile("[0-9a-f]{64}").fullmatch
_SIGNATURE = re.compile("[0-9a-f]{128}").fullmatch
_SALT = re.compile("[0-9a-f]{32}").fullmatch
_HEADER_NAMES = {"about", "exported_at", "format", "hash", "made_for", "visit_id"}
_ENTRY_NAMES = {
    "at", "body", "hash", "kind", "name", "number", "previous_hash", "private_digest", "visit_id", "who",
}  # fmt: skip
_ATTACHMENT_NAMES = {"base64", "hash", "media_type", "sha256"}
_SEAL_NAMES = {
    "attachments", "bytes_sha256", "entries", "head", "header", "key_id", "public_key", "signature",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong, in plain words, and where: the line of the file (1 ...), and the row if it is one."""

    line: int
    entry_number: int | None
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the journal as the file shows it. Told only of rows that hold by themselves."""

    line: int
    entry: Entry
    private: Private | Hidden | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found. Without faults the file is good; the first fault is the first line that was touched."""

    faults: tuple[Fault, ...]
    rows: tuple[Row, ...]
    header: Mapping[str, Any] | None  # None: the first line does not hold
    seal_line: int | None
    key_id: str | None  # of the key it was sealed with, known or not; None: the seal does not hold
    is_signed_by_known_key: bool
    anchored_until: int | None = None  # rows up to this number are as an anchor has them; None: no anchor
    documents: Mapping[str, bytes] = field(
        default_factory=dict
    )  # of clips' parts, by their SHA-256 (hexadecimal)

    @property
    def is_good(self) -> bool:
        return not self.faults

    @property
    def entries(self) -> int:
        """How many rows hold by themselves."""
        return len(self.rows)

    @property
    def head(self) -> str | None:
        """The hash of the last row."""
        return self.rows[-1].entry.hash if self.rows else None


class _Wrong(ValueError):
    """This line does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one line says by itself, whatever stands around it: exactly one of these is not None."""

    number: int
    header: Mapping[str, Any] | None = None
    row: Row | None = None
    attachment: str | None = None  # its SHA-256
    document: bytes | None = None  # the attachment itself, where it is the parts of a clip
    seal: Mapping[str, Any] | None = None
    wrong: str | None = None
    is_row_like: bool = False  # it does not hold, but seems to have been a row


@dataclass(slots=True)
class _Reader:
    """What has been read so far, line by line."""

    faults: list[Fault] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    header: Mapping[str, Any] | None = None
    attachments: list[tuple[int, str]] = field(default_factory=list)  # line, sha256
    documents: dict[str, bytes] = field(default_factory=dict)  # of clips' parts, by SHA-256
    seal: tuple[int, Mapping[str, Any]] | None = None  # line, content
    is_last_row_known: bool = True  # False: the row before is at fault, so that nothing can be linked to it
    due: int = 1  # the number of the next row

    def add_fault(self, line: int, entry_number: int | None, what: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(line=line, entry_number=entry_number, what=what))


def verify(text: bytes, *, public_key: bytes | None, is_signature_good: IsSignatureGood) -> Verdict:
    """Check an export. `public_key`: the operator's, 32 bytes, got on another way; None: not at hand."""
    if len(text) > LARGEST_BYTES or text.count(b"\n") > MOST_LINES:
        reader = _Reader()
        reader.add_fault(1, None, f"larger than {LARGEST_BYTES} bytes or {MOST_LINES} lines: not read")
        return _verdict(reader, is_signed_by_known_key=False)
    lines = text.split(b"\n")
    lines.pop()  # what follows the last line feed: nothing, or `judge` says so
    read = (read_line(number, line) for number, line in enumerate(lines, start=1))
    return judge(read, text, public_key=public_key, is_signature_good=is_signature_good)


def judge(
    lines: Iterable[Line], text: bytes, *, public_key: bytes | None, is_signature_good: IsSignatureGood
) -> Verdict:
    """Check what the lines of `text` say together: order, chain, seal."""
    reader = _Reader()
    count = 0
    for line in lines:
        count += 1
        _take_line(reader, line)
    if not text.endswith(b"\n"):
        what = "the file does not end with a line feed: it was cut or changed"
        reader.add_fault(count + 1, None, what)
    if reader.seal is None:
        if not any(fault.line >= count for fault in reader.faults):
            reader.add_fault(count + 1, None, "the seal is missing: the end of the file was cut off")
        return _verdict(reader, is_signed_by_known_key=False)
    is_known = _check_seal(reader, public_key, is_signature_good)
    if not reader.faults:
        _check_sealed(reader, text)
    if not reader.faults:
        _check_clips(reader)
    return _verdict(reader, is_signed_by_known_key=is_known)


def _verdict(reader: _Reader, *, is_signed_by_known_key: bool) -> Verdict:
    return Verdict(
        faults=tuple(sorted(reader.faults, key=lambda fault: fault.line)),
        rows=tuple(reader.rows),
        header=reader.header,
        seal_line=reader.seal[0] if reader.seal else None,
        key_id=reader.seal[1]["key_id"] if reader.seal else None,
        is_signed_by_known_key=is_signed_by_known_key,
        documents=reader.documents,
    )


def read_line(number: int, line: bytes) -> Line:
    """What one line (without its LF) says, and whether it holds by itself. Never raises."""
    try:
        content = _object_of(line)
        names = set(content)
        if number == 1 and names == {"header"}:
            return Line(number=number, header=_checked_header(content["header"]))
        if "entry" in names:
            return Line(number=number, row=_checked_row(number, content))
        if names == {"attachment"}:
            digest, document = _checked_attachment(content["attachment"])
            return Line(number=number, attachment=digest, document=document)
        if names == {"seal"}:
            return Line(number=number, seal=_checked_seal(content["seal"]))
        what = "neither a row nor an attachment nor the seal"
    except (NotCanonical, _Wrong) as wrong:
        what = str(wrong)
    is_row_like = number > 1 and not line.startswith((b'{"seal":', b'{"attachment":'))
    return Line(number=number, wrong=what, is_row_like=is_row_like)


def _object_of(line: bytes) -> Mapping[str, Any]:
    if len(line) > LONGEST_ROW_BYTES and not line.startswith(b'{"attachment":'):
        raise _Wrong(f"longer than {LONGEST_ROW_BYTES} bytes")
    content = read_canonical(line)
    if not isinstance(content, dict):
        raise _Wrong("not an object")
    return content


def _take_line(reader: _Reader, line: Line) -> None:
    if reader.seal is not None:
        reader.add_fault(line.number, None, "something follows the seal")
    elif line.wrong is not None:
        is_row = line.is_row_like and not reader.attachments
        reader.add_fault(line.number, reader.due if is_row else None, line.wrong)
        if is_row:
            reader.is_last_row_known = False
            reader.due += 1
    elif line.header is not None:
        reader.header = line.header
    elif line.number == 1:
        reader.add_fault(1, None, f"not the header of {FORMAT}")
    elif line.row is not None:
        _take_row(reader, line.row)
    elif line.attachment is not None:
        if reader.attachments and line.attachment <= reader.attachments[-1][1]:
            reader.add_fault(line.number, None, "attachments out of order, or one of them twice")
        reader.attachments.append((line.number, line.attachment))
        if line.document is not None:
            reader.documents[line.attachment] = line.document
    elif line.seal is not None:
        reader.seal = (line.number, line.seal)


def _own_hash(content: object, names: set[str], what: str) -> Mapping[str, Any]:
    """An object with exactly these names that bears its own hash."""
    if not isinstance(content, dict) or set(content) != names:
        raise _Wrong(f"{what} has other fields than it must have")
    if content["hash"] != hash_of({name: value for name, value in content.items() if name != "hash"}):
        raise _Wrong(f"{what} was changed: its hash is not the one of what it says")
    return content


def _checked_header(content: object) -> Mapping[str, Any]:
    header = _own_hash(content, _HEADER_NAMES, "the header")
    if header["format"] != FORMAT:
        raise _Wrong(f"not {FORMAT}")
    if not isinstance(header["visit_id"], str) or not isinstance(header["made_for"], str):
        raise _Wrong("the header's visit_id and made_for must be text")
    try:
        time_of_text(header["exported_at"])
    except (TypeError, ValueError):
        raise _Wrong("the header's exported_at is no time") from None
    return header


def _checked_row(line: int, content: Mapping[str, Any]) -> Row:
    shown = _own_hash(content["entry"], _ENTRY_NAMES, "this row")
    texts = [shown[name] for name in ("at", "kind", "name", "visit_id", "who")]
    digests = [shown[name] for name in ("previous_hash", "private_digest")]
    is_number = isinstance(shown["number"], int) and not isinstance(shown["number"], bool)
    if (
        not all(isinstance(text, str) for text in texts)
        or not all(digest is None or (isinstance(digest, str) and _HASH(digest)) for digest in digests)
        or not isinstance(shown["body"], dict)
        or not is_number
    ):
        raise _Wrong("a field of this row is not of its kind")
    try:
        entry = Entry(**{**shown, "at": time_of_text(shown["at"]), "kind": Kind(shown["kind"])})
    except ValueError:
        raise _Wrong("a time or a kind that does not exist") from None
    return Row(line=line, entry=entry, private=_checked_private(entry, content))


def _checked_private(entry: Entry, content: Mapping[str, Any]) -> Private | Hidden | None:
    names = {"entry"} if entry.private_digest is None else {"entry", "private"}
    if set(content) != names:
        raise _Wrong("a private part and its digest go together: one of them is missing, or more is there")
    shown = content.get("private")
    if shown is None and entry.private_digest is None:
        return None
    if shown in (Hidden.ERASED.value, Hidden.WITHHELD.value):
        return Hidden(shown)
    if not isinstance(shown, dict) or set(shown) != {"body", "salt"} or not isinstance(shown["body"], dict):
        raise _Wrong("the private part is neither disclosed nor erased nor withheld")
    if not isinstance(shown["salt"], str) or not _SALT(shown["salt"]):
        raise _Wrong("the salt of the private part is not 32 hexadecimal digits")
    private = Private(salt=bytes.fromhex(shown["salt"]), body=shown["body"])
    if seal_private(private.body, private.salt) != entry.private_digest:
        raise _Wrong("the private part was changed: it is not the one whose digest this row bears")
    return private


def _take_row(reader: _Reader, row: Row) -> None:
    entry = row.entry
    if reader.attachments:
        reader.add_fault(reader.attachments[0][0], None, "an attachment before the last row")
    if reader.header is not None and entry.visit_id != reader.header["visit_id"]:
        reader.add_fault(row.line, entry.number, f"a row of another visit ({entry.visit_id[:64]})")
    before = reader.rows[-1] if reader.rows else None
    is_linkable, reader.is_last_row_known = reader.is_last_row_known, True
    is_due = entry.number == reader.due
    if not is_due and is_linkable:
        reader.add_fault(
            row.line, entry.number, f"row {entry.number} stands where row {reader.due} must stand"
        )
    elif is_linkable and entry.previous_hash != (before.entry.hash if before else None):
        # It holds by itself, and so does the one before: whoever rewrote that one gave it a new hash.
        guilty = before or row
        what = "the row after it was written after another one: this one was rewritten"
        reader.add_fault(
            guilty.line, guilty.entry.number, what if before else "the first row follows another"
        )
    reader.rows.append(row)
    reader.due = entry.number + 1


def _checked_attachment(content: object) -> tuple[str, bytes | None]:
    """Its SHA-256, and its bytes where they are looked into: those of the parts of a clip."""
    shown = _own_hash(content, _ATTACHMENT_NAMES, "the attachment")
    base64, digest = shown["base64"], shown["sha256"]
    if not isinstance(base64, str) or not isinstance(digest, str) or not isinstance(shown["media_type"], str):
        raise _Wrong("a field of this attachment is not text")
    try:
        bytes_ = b64decode(base64, validate=True)
    except ValueError:
        raise _Wrong("the attachment is not base64") from None
    if b64encode(bytes_).decode() != base64 or sha256(bytes_).hexdigest() != digest:
        raise _Wrong("the attachment was changed: its SHA-256 is not the one of its bytes")
    return digest, bytes_ if shown["media_type"] == CLIP_PARTS_TYPE else None


def _checked_seal(content: object) -> Mapping[str, Any]:
    if not isinstance(content, dict) or set(content) != _SEAL_NAMES:
        raise _Wrong("the seal has other fields than it must have")
    hashes = [content["bytes_sha256"], content["header"], content["public_key"]]
    if content["head"] is not None:
        hashes.append(content["head"])
    if not all(isinstance(digest, str) and _HASH(digest) for digest in hashes):
        raise _Wrong("a hash or the key in the seal is not 64 hexadecimal digits")
    if not isinstance(content["signature"], str) or not _SIGNATURE(content["signature"]):
        raise _Wrong("the signature is not 128 hexadecimal digits")
    if content["key_id"] != key_id_of(bytes.fromhex(content["public_key"])):
        raise _Wrong("the seal was changed: its key_id is not the one of its key")
    return content


def _check_seal(reader: _Reader, public_key: bytes | None, is_signature_good: IsSignatureGood) -> bool:
    """Is the seal itself whole, and set with the key that the reader knows? Returns the latter."""
    assert reader.seal is not None
    line, seal = reader.seal
    key = bytes.fromhex(seal["public_key"])
    if not is_signature_good(key, bytes.fromhex(seal["signature"]), signed_bytes(seal)):
        reader.add_fault(line, None, "the seal was changed: its signature is not good")
        return False
    if public_key is None:
        return False
    if key != public_key:
        reader.add_fault(line, None, f"sealed with key {seal['key_id']}, not with {key_id_of(public_key)}")
        return False
    return True


def _check_sealed(reader: _Reader, text: bytes) -> None:
    """Each line holds by itself and the seal is whole: is this what was sealed?"""
    assert reader.seal is not None
    line, seal = reader.seal
    last = reader.rows[-1] if reader.rows else None
    if reader.header is None or seal["header"] != reader.header["hash"]:
        reader.add_fault(1, None, "this is not the header that was sealed")
    elif seal["entries"] != len(reader.rows):
        what = f"{seal['entries']} rows were sealed, here are {len(reader.rows)}"
        reader.add_fault(last.line + 1 if last else 2, None, what)
    elif last is not None and seal["head"] != last.entry.hash:
        what = "not the row that was sealed as the last one: it was rewritten, or rows before it were too"
        reader.add_fault(last.line, last.entry.number, what)
    elif seal["attachments"] != len(reader.attachments):
        what = f"{seal['attachments']} attachments were sealed, here are {len(reader.attachments)}"
        reader.add_fault(line, None, what)
    _check_named(reader)
    if not reader.faults and seal["bytes_sha256"] != sha256(_before_last_line(text)).hexdigest():
        what = "not the bytes that were sealed: a private part was hidden, or an attachment exchanged"
        reader.add_fault(line, None, what)


def _check_clips(reader: _Reader) -> None:
    """Are the parts of the clips those that the journal's links were made of?"""
    lines = {row.entry.number: row.line for row in reader.rows}
    for broken in find_broken_links([row.entry for row in reader.rows], reader.documents):
        reader.add_fault(lines[broken.entry_number], broken.entry_number, broken.what)


def _before_last_line(text: bytes) -> memoryview:
    return memoryview(text)[: text.rindex(b"\n", 0, len(text) - 1) + 1]


def _check_named(reader: _Reader) -> None:
    if not reader.attachments:
        return
    named = {text for row in reader.rows for text in _texts_of(row.entry.body)}
    named |= {
        text
        for row in reader.rows
        if isinstance(row.private, Private)
        for text in _texts_of(row.private.body)
    }
    for line, digest in reader.attachments:
        if digest not in named:
            reader.add_fault(line, None, "no row names this attachment")


def _texts_of(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts_of(item)
