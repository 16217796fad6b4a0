"""The journal of a visit as a chain of hashes, and its export: the proof of delivery.

Each entry bears the hash of the entry before it, so none can be changed, removed or put in between without
every later hash changing too. What must be forgotten one day (positions, plates) stands *beside* the entry,
and the entry bears only its salted digest: it can be erased and the chain still holds.

The export, `unlatch-proof/1`, is text: one canonical JSON object (RFC 8785) per line, each ended by one LF:

    {"header":{"about":{...},"exported_at","format","hash","made_for","visit_id"}}
    {"entry":{"at","body","hash","kind","name","number","previous_hash","private_digest","visit_id","who"},
     "private":{"body":{...},"salt"} | "erased" | "withheld"}     ("private" only where there is a digest)
    {"attachment":{"base64","hash","media_type","sha256"}}      (ascending by sha256; each named by an entry)
    {"seal":{"attachments","bytes_sha256","entries","head","header","key_id","public_key","signature"}}

Every `hash` is the SHA-256 of the canonical JSON of the object it stands in, without `hash`. The signature
is Ed25519 over `unlatch-proof/1`, LF and the canonical JSON of the seal without `signature`; `bytes_sha256`
is that of all lines before. All binary is lower-case hexadecimal, but for the attachment's own base64.

Whoever holds the key signs (`Signer`): this room knows no key. `verification.py` is the other direction.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum, auto
from hashlib import sha256
from typing import Any

from unlatch.domain.canonical import canonical

FORMAT = "unlatch-proof/1"
SALT_BYTES = 16
_NO_OFFSET = timedelta(0)


class Kind(StrEnum):
    """What sort of thing an entry writes down."""

    FACT = auto()
    DECISION = auto()
    ORDER = auto()
    OUTCOME = auto()  # how an order ended
    READING = auto()
    LOOK = auto()  # a person looked at a position, a plate or a clip (A3)
    CALL = auto()  # a person was called
    NOTE = auto()


class Hidden(StrEnum):
    """Why the private part of an entry is not in an export."""

    ERASED = auto()  # forgotten: its time was up, or the consignee asked for it
    WITHHELD = auto()  # kept, but not for the reader this export was made for


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a visit's journal. `body` is public to everyone who may see the visit."""

    visit_id: str
    number: int  # 1, 2, 3 ...
    at: datetime
    kind: Kind
    name: str  # of the fact, order ...: its value
    who: str  # "courier:...", "cloud:onstar", "platform"
    body: Mapping[str, Any]
    private_digest: str | None
    previous_hash: str | None  # None: the first
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Private:
    """The private part of an entry, as it is kept beside the journal."""

    salt: bytes
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A photo or a clip; some entry's body holds the SHA-256 of its bytes."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who seals an export: an Ed25519 public key (32 bytes) and what signs with its private half."""

    public_key: bytes
    sign: Callable[[bytes], bytes]


def text_of_time(at: datetime) -> str:
    """RFC 3339 in UTC with exactly six digits of a second. Raises ValueError where `at` is not UTC."""
    if at.tzinfo is not UTC and at.utcoffset() != _NO_OFFSET:
        raise ValueError("a time in the journal must be aware and UTC")
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def time_of_text(text: str) -> datetime:
    """The opposite of `text_of_time`. Raises ValueError where the text is not exactly so written."""
    at = datetime.fromisoformat(text).replace(tzinfo=UTC)
    if text_of_time(at) != text:
        raise ValueError("a time is written with six digits of a second and a Z")
    return at


def hash_of(content: Mapping[str, object]) -> str:
    """SHA-256 of the canonical JSON of `content`, hexadecimal. Raises NotCanonical."""
    return sha256(canonical(content)).hexdigest()


def seal_private(private: Mapping[str, Any], salt: bytes) -> str:
    """The digest that an entry bears in place of `private`; the salt (16 random bytes) keeps it unguessable.

    Raises ValueError at a salt of another length, NotCanonical (a ValueError) at what a journal can't hold.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt is {SALT_BYTES} random bytes")
    return sha256(salt + canonical(private)).hexdigest()


def next_entry(
    visit_id: str,
    previous: tuple[int, str] | None,
    at: datetime,
    *,
    kind: Kind,
    name: str,
    who: str,
    body: Mapping[str, Any],
    private_digest: str | None = None,
) -> Entry:
    """The entry that follows `previous` (number, hash); None: the first. Raises NotCanonical, ValueError."""
    number, previous_hash = (1, None) if previous is None else (previous[0] + 1, previous[1])
    content = {
        "at": text_of_time(at),
        "body": body,
        "kind": kind,
        "name": name,
        "number": number,
        "previous_hash": previous_hash,
        "private_digest": private_digest,
        "visit_id": visit_id,
        "who": who,
    }
    return Entry(
        visit_id=visit_id,
        number=number,
        at=at,
        kind=kind,
        name=name,
        who=who,
        body=body,
        private_digest=private_digest,
        previous_hash=previous_hash,
        hash=sha256(canonical(content)).hexdigest(),
    )


def find_unchained(entries: Sequence[Entry]) -> int | None:
    """The number of the first entry that is not what its hash, or the one before it, says; None: all are chained."""
    previous: tuple[int, str] | None = None
    for entry in entries:
        again = next_entry(
            entry.visit_id,
            previous,
            entry.at,
            kind=entry.kind,
            name=entry.name,
            who=entry.who,
            body=entry.body,
            private_digest=entry.private_digest,
        )
        if again != entry:
            return entry.number
        previous = entry.number, entry.hash
    return None


def content_of(entry: Entry) -> dict[str, object]:
    """The entry as its line in an export shows it."""
    return {
        "at": text_of_time(entry.at),
        "body": entry.body,
        "hash": entry.hash,
        "kind": entry.kind,
        "name": entry.name,
        "number": entry.number,
        "previous_hash": entry.previous_hash,
        "private_digest": entry.private_digest,
        "visit_id": entry.visit_id,
        "who": entry.who,
    }


def key_id_of(public_key: bytes) -> str:
    """The short name of a key: the first 16 hexadecimal digits of its SHA-256."""
    return sha256(public_key).hexdigest()[:16]


def signed_bytes(seal: Mapping[str, object]) -> bytes:
    """What the signature of a seal covers."""
    content = {name: value for name, value in seal.items() if name != "signature"}
    return FORMAT.encode() + b"\n" + canonical(content)


def export_proof(
    *,
    visit_id: str,
    exported_at: datetime,
    made_for: str,
    entries: Sequence[tuple[Entry, Private | Hidden | None]],
    signer: Signer,
    about: Mapping[str, Any] | None = None,
    attachments: Iterable[Attachment] = (),
) -> bytes:
    """A visit's journal as a file of `unlatch-proof/1`.

    `entries` are all of the visit, in order, each with what this reader may see of its private part (None
    where it has none). `about` is for the reader alone: names of carrier, maker, kind of place. Raises
    ValueError where an entry and its private part don't fit together, NotCanonical at what a journal can't
    hold.
    """
    header = _with_hash(
        {
            "about": about or {},
            "exported_at": text_of_time(exported_at),
            "format": FORMAT,
            "made_for": made_for,
            "visit_id": visit_id,
        }
    )
    files = sorted(
        ((sha256(attachment.content).hexdigest(), attachment) for attachment in attachments),
        key=lambda file: file[0],
    )
    lines = [canonical({"header": header})]
    lines += [canonical(_entry_line(entry, private)) for entry, private in entries]
    lines += [canonical({"attachment": _attachment(digest, attachment)}) for digest, attachment in files]
    text = b"".join(line + b"\n" for line in lines)
    seal: dict[str, object] = {
        "attachments": len(files),
        "bytes_sha256": sha256(text).hexdigest(),
        "entries": len(entries),
        "head": entries[-1][0].hash if entries else None,
        "header": header["hash"],
        "key_id": key_id_of(signer.public_key),
        "public_key": signer.public_key.hex(),
    }
    seal["signature"] = signer.sign(signed_bytes(seal)).hex()
    return text + canonical({"seal": seal}) + b"\n"


def _with_hash(content: dict[str, object]) -> dict[str, object]:
    return {**content, "hash": hash_of(content)}


def _entry_line(entry: Entry, private: Private | Hidden | None) -> dict[str, object]:
    if (entry.private_digest is None) != (private is None):
        raise ValueError(f"entry {entry.number}: a private part and its digest go together")
    if private is None:
        return {"entry": content_of(entry)}
    if isinstance(private, Hidden):
        return {"entry": content_of(entry), "private": private}
    if seal_private(private.body, private.salt) != entry.private_digest:
        raise ValueError(f"entry {entry.number}: the private part is not the one whose digest it bears")
    return {"entry": content_of(entry), "private": {"body": private.body, "salt": private.salt.hex()}}


def _attachment(digest: str, attachment: Attachment) -> dict[str, object]:
    base64 = b64encode(attachment.content).decode()
    return _with_hash({"base64": base64, "media_type": attachment.media_type, "sha256": digest})
