"""The evidence of a claim as one file that anyone can check offline: `unlatch-evidence/1`.

A ZIP archive that every tool opens, written in exactly one way: nothing is compressed, every entry bears the same
date (1 January 1980), `manifest.json` comes first and the rest follow by name. So whatever single byte is changed,
in an entry or between them, is found, and the file that was touched is named.

    manifest.json   canonical JSON (RFC 8785): claim_id, made_at, visits, left_out, files [{name, bytes, sha256}],
                    key_id, public_key, signature (Ed25519 over the format's name, LF and the rest of the manifest)
    claim.json      what is claimed, when, about what
    counted.json    how many deeds, looks and visits there were in all, and how many of them, the newest, are in it
    deeds.json      what people did to the stop
    fallbacks.json  where each parcel of the stop went that was not put into the place; its photo in fallbacks/...
    looks.json      who saw where the place is, for this stop
    photos/...      the claimant's photos
    visits/...      the proof of each visit (`unlatch-proof/1`), sealed by itself, with its photos

Pure: whoever holds the key signs, and whoever checks brings what checks a signature.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from zlib import crc32

from unlatch.domain.canonical import NotCanonical, canonical, read_canonical
from unlatch.domain.proof import Signer, key_id_of, text_of_time
from unlatch.domain.verification import IsSignatureGood, Verdict
from unlatch.domain.verification import verify as verify_proof

EVIDENCE_FORMAT = "unlatch-evidence/1"
MANIFEST = "manifest.json"
MAGIC = b"PK\x03\x04"
LARGEST_EVIDENCE_BYTES = 32 * 2**20
MOST_FILES = 100
COUNTED = "counted.json"
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_VERSION, _DATE = 20, 0x21  # of the format ZIP 2.0; 1 January 1980
_NAME = re.compile(r"(?:[a-z]+/)?[0-9a-z_-]+\.[a-z-]+")
_MANIFEST_NAMES = {
    "claim_id", "files", "format", "key_id", "left_out", "made_at", "public_key", "signature", "visits",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFault:
    """What is wrong, and with which file of the bundle; None: between them."""

    name: str | None
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many there were of one thing when the bundle was made, and how many of them are in it."""

    here: int
    all: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceVerdict:
    """What was found. Without faults the bundle is good; the first fault names the first file that was touched."""

    faults: tuple[EvidenceFault, ...]
    manifest: Mapping[str, Any] | None  # None: it does not hold
    files: tuple[str, ...]
    proofs: Mapping[str, Verdict]  # of each visit, by the name of its file
    counted: Mapping[str, Counted]  # by what was counted; empty: an older bundle, which does not tell
    key_id: str | None
    is_signed_by_known_key: bool

    @property
    def is_good(self) -> bool:
        return not self.faults


class NoBundle(ValueError):
    """These bytes are not written as a bundle is."""


def write_counted(counted: Mapping[str, Counted]) -> bytes:
    """As it stands in the bundle."""
    return canonical({name: {"all": one.all, "here": one.here} for name, one in counted.items()})


def _read_counted(content: bytes) -> dict[str, Counted]:
    """Raises NotCanonical, NoBundle."""
    told = read_canonical(content)
    if not isinstance(told, dict):
        raise NoBundle("not written as what was counted is")
    counted = {}
    for name, one in told.items():
        is_shaped = isinstance(one, dict) and set(one) == {"all", "here"}
        if not is_shaped or not all(type(number) is int for number in one.values()):
            raise NoBundle("not written as what was counted is")
        counted[name] = Counted(here=one["here"], all=one["all"])
    return counted


def make_evidence(
    *,
    claim_id: str,
    made_at: datetime,
    files: Mapping[str, bytes],
    visits: Sequence[str],
    left_out: Sequence[str],
    signer: Signer,
) -> bytes:
    """The bundle of these files. `left_out`: visits whose proofs had no room. Raises ValueError if it is too large."""
    manifest: dict[str, object] = {
        "claim_id": claim_id,
        "files": [_describe(name, files[name]) for name in sorted(files)],
        "format": EVIDENCE_FORMAT,
        "key_id": key_id_of(signer.public_key),
        "left_out": list(left_out),
        "made_at": text_of_time(made_at),
        "public_key": signer.public_key.hex(),
        "visits": list(visits),
    }
    manifest["signature"] = signer.sign(_signed_bytes(manifest)).hex()
    packed = pack([(MANIFEST, canonical(manifest)), *((name, files[name]) for name in sorted(files))])
    if len(packed) > LARGEST_EVIDENCE_BYTES or len(files) >= MOST_FILES:
        raise ValueError("the evidence is too large for one bundle")
    return packed


def _describe(name: str, content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "name": name, "sha256": sha256(content).hexdigest()}


def _signed_bytes(manifest: Mapping[str, object]) -> bytes:
    content = {name: value for name, value in manifest.items() if name != "signature"}
    return EVIDENCE_FORMAT.encode() + b"\n" + canonical(content)


def pack(files: Sequence[tuple[str, bytes]]) -> bytes:
    """A ZIP archive (APPNOTE 6.3) of these files, in this order, stored as they are. One way, one sequence of bytes."""
    parts: list[bytes] = []
    directory: list[bytes] = []
    offset = 0
    for name, content in files:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a bundle's file")
        head = _local_head(name, content)
        crc, size = crc32(content), len(content)
        directory.append(
            _CENTRAL.pack(
                b"PK\x01\x02",
                _VERSION,
                _VERSION,
                0,
                0,
                0,
                _DATE,
                crc,
                size,
                size,
                len(name),
                0,
                0,
                0,
                0,
                0,
                offset,
            )
            + name.encode()
        )
        parts += [head, content]
        offset += len(head) + size
    listing = b"".join(directory)
    end = _END.pack(b"PK\x05\x06", 0, 0, len(files), len(files), len(listing), offset, 0)
    return b"".join([*parts, listing, end])


def _local_head(name: str, content: bytes) -> bytes:
    size = len(content)
    head = _LOCAL.pack(MAGIC, _VERSION, 0, 0, 0, _DATE, crc32(content), size, size, len(name), 0)
    return head + name.encode()


def unpack(packed: bytes) -> list[tuple[str, bytes]]:
    """The files of a bundle in order, by their local heads alone. Raises NoBundle."""
    files: list[tuple[str, bytes]] = []
    at = 0
    while packed[at : at + 4] == MAGIC:
        if len(files) >= MOST_FILES or len(packed) < at + _LOCAL.size:
            raise NoBundle("more files than a bundle has, or cut off")
        _, _, _, method, _, _, _, size, full_size, name_length, extra = _LOCAL.unpack_from(packed, at)
        at += _LOCAL.size
        name = packed[at : at + name_length].decode("ascii", errors="replace")
        at += name_length
        if method or size != full_size or extra or not _NAME.fullmatch(name) or len(packed) < at + size:
            raise NoBundle(f"behind {files[-1][0]}" if files else "at its beginning")
        files.append((name, packed[at : at + size]))
        at += size
    if not files or files[0][0] != MANIFEST:
        raise NoBundle("it does not begin with its manifest")
    return files


def verify_evidence(
    packed: bytes, *, public_key: bytes | None, is_signature_good: IsSignatureGood
) -> EvidenceVerdict:
    """Check a bundle, and the proof of each visit in it. `public_key`: the operator's; None: not at hand."""
    if len(packed) > LARGEST_EVIDENCE_BYTES:
        return _bad(None, f"larger than {LARGEST_EVIDENCE_BYTES} bytes: not read")
    try:
        files = unpack(packed)
    except NoBundle as wrong:
        return _bad(None, f"not written as a bundle is: {wrong}")
    contents = dict(files)
    try:
        manifest = _read_manifest(contents[MANIFEST], is_signature_good)
    except (NotCanonical, NoBundle) as wrong:
        return _bad(MANIFEST, str(wrong), tuple(name for name, _ in files))
    faults: list[EvidenceFault] = []
    is_known = public_key is not None and public_key.hex() == manifest["public_key"]
    if public_key is not None and not is_known:
        faults.append(EvidenceFault(name=MANIFEST, what="signed with another key than the one given"))
    described = {one["name"]: one for one in manifest["files"]}
    proofs: dict[str, Verdict] = {}
    for name in sorted({*described, *contents} - {MANIFEST}):
        if name not in contents:
            faults.append(EvidenceFault(name=name, what="named by the manifest, and missing"))
        elif name not in described:
            faults.append(EvidenceFault(name=name, what="not named by the manifest: it was put in"))
        else:
            if _describe(name, contents[name]) != described[name]:
                faults.append(EvidenceFault(name=name, what="this file was changed"))
            if name.startswith("visits/"):
                proofs[name] = verify_proof(
                    contents[name], public_key=public_key, is_signature_good=is_signature_good
                )
                faults += [
                    EvidenceFault(name=name, what=f"line {fault.line}: {fault.what}")
                    for fault in proofs[name].faults[:1]
                ]
    counted: dict[str, Counted] = {}
    if COUNTED in described and COUNTED in contents:
        try:
            counted = _read_counted(contents[COUNTED])
        except (NotCanonical, NoBundle) as wrong:
            faults.append(EvidenceFault(name=COUNTED, what=str(wrong)))
    if len(contents) != len(files):
        faults.append(EvidenceFault(name=None, what="it holds two files of one name"))
    elif not faults and pack(_in_order(files)) != packed:
        touched = _find_touched(_in_order(files), packed)
        faults.append(EvidenceFault(name=touched, what="the archive around the files was changed"))
    return EvidenceVerdict(
        faults=tuple(faults),
        manifest=manifest,
        files=tuple(name for name, _ in files),
        proofs=proofs,
        counted=counted,
        key_id=manifest["key_id"],
        is_signed_by_known_key=is_known,
    )


def _in_order(files: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """As a bundle is written: the manifest, then the rest by name."""
    return [files[0], *sorted(files[1:])]


def _find_touched(files: Sequence[tuple[str, bytes]], packed: bytes) -> str | None:
    """The file at whose head the archive is not as we write it; None: in the list at its end."""
    at = 0
    for name, content in files:
        head = _local_head(name, content)
        if packed[at : at + len(head)] != head:
            return name
        at += len(head) + len(content)
    return None


def _bad(name: str | None, what: str, files: tuple[str, ...] = ()) -> EvidenceVerdict:
    return EvidenceVerdict(
        faults=(EvidenceFault(name=name, what=what),),
        manifest=None,
        files=files,
        proofs={},
        counted={},
        key_id=None,
        is_signed_by_known_key=False,
    )


def _read_manifest(content: bytes, is_signature_good: IsSignatureGood) -> Mapping[str, Any]:
    manifest = read_canonical(content)
    if not isinstance(manifest, dict) or set(manifest) != _MANIFEST_NAMES:
        raise NoBundle("not a manifest")
    try:
        public_key, signature = bytes.fromhex(manifest["public_key"]), bytes.fromhex(manifest["signature"])
        is_signed = is_signature_good(public_key, signature, _signed_bytes(manifest))
        is_shaped = (
            manifest["format"] == EVIDENCE_FORMAT
            and manifest["key_id"] == key_id_of(public_key)
            and signature.hex() == manifest["signature"]  # in one way of writing
            and all(isinstance(manifest[name], str) for name in ("claim_id", "made_at"))
            and all(isinstance(manifest[name], list) for name in ("files", "left_out", "visits"))
            and all(set(one) == {"bytes", "name", "sha256"} for one in manifest["files"])
            and all(isinstance(one["name"], str) for one in manifest["files"])
        )
    except (TypeError, ValueError) as error:
        raise NoBundle("not a manifest") from error
    if not is_signed:
        raise NoBundle("its signature does not hold: it was changed")
    if not is_shaped:
        raise NoBundle("not a manifest of this format")
    return manifest
