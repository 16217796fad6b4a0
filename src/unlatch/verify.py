"""`unlatch verify FILE...`: check exported proofs of delivery, and the evidence of claims, offline.

With `--clip`, the clips of those visits too: whether each is what was recorded, and if not, which part of it was
touched. Needs no server, no database and no settings: the standard library, `cryptography` and the rules in
`domain/verification.py`, `domain/evidence.py` and `domain/clip_verification.py` alone.

Exit: 0 every file is good, 1 one is not, 2 one could not be read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from unlatch.domain import anchor, verification
from unlatch.domain.anchor import Anchors, read_anchors
from unlatch.domain.canonical import canonical
from unlatch.domain.clip_chain import KeptClip, list_kept_clips
from unlatch.domain.clip_verification import ClipFinding, ClipState, GivenClip, match_clips
from unlatch.domain.evidence import MAGIC, EvidenceVerdict, verify_evidence
from unlatch.domain.proof import Hidden, Private, Signer, content_of, text_of_time
from unlatch.domain.verification import Row, Verdict

KEY_BYTES = 32
LARGEST_KEY_FILE_BYTES = 4096
WIDEST_WHO = 28
WIDEST_WHAT = 96
LARGEST_CLIP_BYTES = 4 * 2**30  # as the store of clips has it
MOST_CLIP_FILES = 64


class Unusable(ValueError):
    """A file or a key that can't be read; the message names it and says why."""


def signer_of(private_key: Ed25519PrivateKey) -> Signer:
    """Who seals exports with this key."""
    return Signer(public_key=private_key.public_key().public_bytes_raw(), sign=private_key.sign)


def is_signature_good(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Ed25519 (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify(text: bytes, *, public_key: bytes | None = None) -> Verdict:
    """Check one export. `public_key`: the operator's Ed25519 key, 32 bytes; None: not at hand."""
    return verification.verify(text, public_key=public_key, is_signature_good=is_signature_good)


def verify_bundle(packed: bytes, *, public_key: bytes | None = None) -> EvidenceVerdict:
    """Check the evidence of a claim, with the proof of each visit in it."""
    return verify_evidence(packed, public_key=public_key, is_signature_good=is_signature_good)


def main(arguments: Sequence[str]) -> int:
    """Carry out `unlatch verify` with these arguments; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="unlatch verify",
        description="Check exported proofs of delivery and evidence of claims, offline.",
    )
    add_arguments(parser)
    try:
        return run(parser.parse_args(list(arguments)))
    except SystemExit as end:  # argparse has said why
        return end.code if isinstance(end.code, int) else 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch verify` takes."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a proof, or the evidence of a claim, as it was exported"
    )
    parser.add_argument(
        "--key", metavar="FILE|BASE64", help="the operator's public key: PEM, raw, hexadecimal or base64"
    )
    parser.add_argument(
        "--clip",
        metavar="CLIP",
        nargs="+",
        action="extend",
        help="a clip of one of these visits, as it was downloaded; several may follow",
    )
    parser.add_argument("--anchors", metavar="FILE", help="a copy of the operator's file of anchors")
    parser.add_argument("--json", action="store_true", help="print what was found as one JSON object")


def run(chosen: argparse.Namespace) -> int:
    """Check the chosen files and print what was found; returns the exit code."""
    try:
        public_key = None if chosen.key is None else read_key(chosen.key)
        texts = {name: _read_file(name, verification.LARGEST_BYTES) for name in chosen.files}
        anchors_text = None if chosen.anchors is None else _read_file(chosen.anchors, anchor.LARGEST_BYTES)
    except Unusable as unusable:
        print(f"unlatch verify: {unusable}", file=sys.stderr)
        return 2
    bundles = {
        name: verify_bundle(text, public_key=public_key)
        for name, text in texts.items()
        if text.startswith(MAGIC)
    }
    verdicts = {
        name: verify(text, public_key=public_key) for name, text in texts.items() if name not in bundles
    }
    for name, bundle in bundles.items():
        verdicts |= {f"{name}/{inner}": verdict for inner, verdict in bundle.proofs.items()}
    anchors = None
    if anchors_text is not None:
        visit_ids = {str(verdict.header["visit_id"]) for verdict in verdicts.values() if verdict.header}
        anchors = read_anchors(anchors_text, visit_ids)
        verdicts = {name: anchor.compare(verdict, anchors) for name, verdict in verdicts.items()}
    try:
        clips = check_clips(list(verdicts.values()), chosen.clip or ())
    except Unusable as unusable:
        print(f"unlatch verify: {unusable}", file=sys.stderr)
        return 2
    if chosen.json:
        print(json.dumps(_as_json(verdicts, bundles, anchors, clips), indent=2))
    else:
        told = [_bundle_as_text(name, bundle) for name, bundle in bundles.items()]
        told += [_as_text(name, verdict, anchors) for name, verdict in verdicts.items()]
        told += ["\n".join(_clip_as_text(finding) for finding in clips)] if clips else []
        print("\n\n".join(told))
        print(_anchors_text(chosen.anchors, anchors), end="")
    are_anchors_good = anchors is None or not anchors.faults
    are_bundles_good = all(bundle.is_good for bundle in bundles.values())
    are_proofs_good = all(verdict.is_good for verdict in verdicts.values())
    are_clips_good = all(finding.is_good for finding in clips)
    return 0 if are_anchors_good and are_bundles_good and are_proofs_good and are_clips_good else 1


def check_clips(verdicts: Sequence[Verdict], names: Sequence[str]) -> tuple[ClipFinding, ...]:
    """What there is to say of the clips of these proofs, and of these files. Raises Unusable.

    A proof that does not hold vouches for no clip: its clips are left out.
    """
    if len(names) > MOST_CLIP_FILES:
        raise Unusable(f"at most {MOST_CLIP_FILES} clips are checked at once")
    kept: dict[str, tuple[str, KeptClip]] = {}
    for verdict in verdicts:
        if verdict.is_good and verdict.header is not None:
            for clip in list_kept_clips((row.entry for row in verdict.rows), verdict.documents):
                known = kept.get(clip.id)
                if known is None or known[1].content is None or clip.erased_at is not None:
                    kept[clip.id] = str(verdict.header["visit_id"]), clip
    with ExitStack() as opened:
        given = [_open_clip(name, opened) for name in names]
        return match_clips(list(kept.values()), given, is_asked=bool(names))


def _open_clip(name: str, opened: ExitStack) -> GivenClip:
    try:
        file = opened.enter_context(Path(name).open("rb"))  # noqa: SIM115 - closed with `opened`
        size = file.seek(0, 2)
        if size > LARGEST_CLIP_BYTES:
            raise Unusable(f"{name[:80]}: larger than {LARGEST_CLIP_BYTES} bytes")
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Unusable(f"{name[:80]}: {reason}") from None

    def read(offset: int, size: int) -> bytes:
        return _read_at(name, file, offset, size)

    return GivenClip(name=name, size=size, sha256=digest, read=read)


def _read_at(name: str, file: BinaryIO, offset: int, size: int) -> bytes:
    try:
        file.seek(offset)
        return file.read(size)
    except OSError as error:
        raise Unusable(f"{name[:80]}: {error.strerror}") from None


def read_key(given: str) -> bytes:
    """An Ed25519 public key from a file, or as base64 or hexadecimal text. Raises Unusable."""
    try:
        is_file = Path(given).is_file()
    except (OSError, ValueError):
        is_file = False
    content = _read_file(given, LARGEST_KEY_FILE_BYTES) if is_file else given.encode()
    if len(content) == KEY_BYTES:
        return content
    if content.lstrip().startswith(b"-----BEGIN"):
        try:
            key = load_pem_public_key(content)
        except (ValueError, UnsupportedAlgorithm):
            raise Unusable(f"{given[:80]}: not a public key") from None
        if not isinstance(key, Ed25519PublicKey):
            raise Unusable(f"{given[:80]}: not an Ed25519 key")
        return key.public_bytes_raw()
    text = content.strip()
    for decoded in (_decoded_hexadecimal(text), _decoded_base64(text)):
        if decoded is not None and len(decoded) == KEY_BYTES:
            return decoded
    raise Unusable(f"{given[:80]}: neither a file nor an Ed25519 public key ({KEY_BYTES} bytes)")


def _decoded_hexadecimal(text: bytes) -> bytes | None:
    try:
        return bytes.fromhex(text.decode())
    except ValueError:
        return None


def _decoded_base64(text: bytes) -> bytes | None:
    padded = text.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return b64decode(padded + b"=" * (-len(padded) % 4), validate=True)
    except ValueError:
        return None


def _read_file(name: str, largest_bytes: int) -> bytes:
    try:
        with Path(name).open("rb") as file:
            content = file.read(largest_bytes + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Unusable(f"{name[:80]}: {reason}") from None
    if len(content) > largest_bytes:
        raise Unusable(f"{name[:80]}: larger than {largest_bytes} bytes")
    return content


def _as_json(
    verdicts: Mapping[str, Verdict],
    bundles: Mapping[str, EvidenceVerdict],
    anchors: Anchors | None,
    clips: Sequence[ClipFinding],
) -> dict[str, Any]:
    found: dict[str, Any] = {"files": [_verdict_as_json(name, verdict) for name, verdict in verdicts.items()]}
    if bundles:
        found["bundles"] = [_bundle_as_json(name, bundle) for name, bundle in bundles.items()]
    if clips:
        found["clips"] = [_clip_as_json(finding) for finding in clips]
    if anchors is not None:
        found["anchors"] = {
            "lines": anchors.lines,
            "faults": [{"line": fault.line, "what": fault.what} for fault in anchors.faults],
        }
    return found


def _verdict_as_json(name: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "file": name,
        "is_good": verdict.is_good,
        "faults": [
            {"line": fault.line, "entry": fault.entry_number, "what": fault.what} for fault in verdict.faults
        ],
        "visit_id": verdict.header["visit_id"] if verdict.header else None,
        "entries": verdict.entries,
        "head": verdict.head,
        "is_signed_by_known_key": verdict.is_signed_by_known_key,
        "key_id": verdict.key_id,
        "anchored_until": verdict.anchored_until,
        "timeline": [{**content_of(row.entry), "private": _private_as_json(row)} for row in verdict.rows],
    }


def _bundle_as_json(name: str, bundle: EvidenceVerdict) -> dict[str, Any]:
    return {
        "file": name,
        "is_good": bundle.is_good,
        "faults": [{"name": fault.name, "what": fault.what} for fault in bundle.faults],
        "claim_id": bundle.manifest["claim_id"] if bundle.manifest else None,
        "files": list(bundle.files),
        "counted": {name: {"all": one.all, "here": one.here} for name, one in bundle.counted.items()},
        "is_signed_by_known_key": bundle.is_signed_by_known_key,
        "key_id": bundle.key_id,
    }


def _clip_as_json(finding: ClipFinding) -> dict[str, Any]:
    clip = finding.clip
    return {
        "file": finding.file,
        "is_good": finding.is_good,
        "state": finding.state,
        "what": finding.what,
        "visit_id": finding.visit_id,
        "clip_id": None if clip is None else clip.id,
        "sha256": None if clip is None else clip.sha256,
        "erased_at": None if clip is None or clip.erased_at is None else text_of_time(clip.erased_at),
        "erased_by": None if clip is None else clip.erased_by,
        "touched": [
            {
                "take": run.take,
                "first_part": run.first_part,
                "last_part": run.last_part,
                "from_ms": run.from_ms,
                "until_ms": run.until_ms,
                "text": run.text(),
            }
            for run in finding.touched
        ],
    }


_CLIP_STATES = {
    ClipState.WHOLE: "good",
    ClipState.TOUCHED: "BAD",
    ClipState.UNKNOWN: "BAD",
    ClipState.NOT_GIVEN: "not compared",
    ClipState.ERASED: "erased",
}


def _clip_as_text(finding: ClipFinding) -> str:
    clip = finding.clip
    told = "no clip of these visits" if clip is None else f"clip {clip.id} of visit {finding.visit_id}"
    head = told if finding.file is None else finding.file
    lines = [f"{_plain(head)}: {_CLIP_STATES[finding.state]}"]
    if clip is not None:
        about = "" if finding.file is None else f"{told}, "
        lines.append(
            f"  {_plain(about)}{clip.length_ms / 1000:.1f} s, {clip.size} bytes, {_parts_text(clip)}"
        )
    lines += [f"  {run.text()}: not what was recorded" for run in finding.touched]
    if finding.what:
        lines.append(f"  {_plain(finding.what)}")
    return "\n".join(lines)


def _parts_text(clip: KeptClip) -> str:
    """Of a proof that holds: its chain was reckoned anew where the parts were at hand."""
    if clip.content is None:
        return "its parts are not in the proof"
    return f"{len(clip.content.parts)} parts, chained as the journal has it"


def _bundle_as_text(name: str, bundle: EvidenceVerdict) -> str:
    manifest = bundle.manifest or {}
    lines = [
        f"{name}: {'good' if bundle.is_good else 'BAD'}",
        f"  evidence of claim {_plain(manifest.get('claim_id', 'unknown'))}, {len(bundle.files)} files",
        f"  made {_plain(manifest.get('made_at', '?'))}",
        f"  {_key_text(bundle)}",
    ]
    left_out = manifest.get("left_out", ())
    if left_out:
        lines.append(f"  without the proofs of {len(left_out)} visits, for want of room")
    lines += [
        f"  of {one.all} {_plain(name)} the newest {one.here}: the others are not in it"
        for name, one in sorted(bundle.counted.items())
        if one.here < one.all
    ]
    lines += [
        f"  {_plain(fault.name or 'between the files')}: {_plain(fault.what)}" for fault in bundle.faults
    ]
    return "\n".join(lines)


def _private_as_json(row: Row) -> object:
    return dict(row.private.body) if isinstance(row.private, Private) else row.private


def _as_text(name: str, verdict: Verdict, anchors: Anchors | None) -> str:
    header = verdict.header or {}
    lines = [
        f"{name}: {'good' if verdict.is_good else 'BAD'}",
        f"  visit {_plain(header.get('visit_id', 'unknown'))}, {verdict.entries} rows",
        f"  exported {_plain(header.get('exported_at', '?'))} for {_plain(header.get('made_for', '?'))}",
        f"  {_key_text(verdict)}",
    ]
    if anchors is not None and verdict.anchored_until is not None:
        lines.append(f"  rows 1 to {verdict.anchored_until} are as they were anchored")
    elif anchors is not None:
        lines.append("  no anchor vouches for a row of this visit")
    for fault in verdict.faults:
        row = "" if fault.entry_number is None else f", row {fault.entry_number}"
        lines.append(f"  line {fault.line}{row}: {_plain(fault.what)}")
    return "\n".join([*lines, "", *_timeline(verdict.rows)])


def _key_text(verdict: Verdict | EvidenceVerdict) -> str:
    if verdict.is_signed_by_known_key:
        return f"sealed with your key {verdict.key_id}"
    if verdict.key_id is None:
        return "no seal that can be read"
    return f"sealed with key {verdict.key_id}, which was not compared: give the operator's key with --key"


def _timeline(rows: Sequence[Row]) -> list[str]:
    """One line per row: time (UTC, to the millisecond), who, what. A new day has a line of its own."""
    lines: list[str] = []
    day = ""
    width = min(WIDEST_WHO, max((len(row.entry.who) for row in rows), default=0))
    for row in rows:
        at = text_of_time(row.entry.at)
        if at[:10] != day:
            day = at[:10]
            lines.append(f"  {day} (UTC)")
        who = _plain(row.entry.who)[:WIDEST_WHO]
        lines.append(f"  {at[11:23]}  {row.entry.number:>4}  {who:<{width}}  {_what(row)[:WIDEST_WHAT]}")
    return lines


_FIRST = ("state", "incident")  # what a reader looks for, before a line is cut to the width of a terminal


def _what(row: Row) -> str:
    entry = row.entry
    parts = [f"{entry.kind}: {_plain(entry.name)}"]
    body = sorted(entry.body.items(), key=lambda item: (item[0] not in _FIRST, item[0]))
    parts += [f"{_plain(name)}={_value_text(value)}" for name, value in body]
    if isinstance(row.private, Hidden):
        parts.append(f"({row.private})")
    elif row.private is not None:
        shown = (f"{_plain(name)}={_value_text(value)}" for name, value in sorted(row.private.body.items()))
        parts.append(f"[{' '.join(shown)}]")
    return " ".join(parts)


def _value_text(value: object) -> str:
    return _plain(value) if isinstance(value, str) else _plain(canonical(value).decode())


def _plain(value: object) -> str:
    """Text that can do nothing to a terminal: every character that is not printed becomes a question mark."""
    return "".join(character if character.isprintable() else "?" for character in str(value))


def _anchors_text(name: str | None, anchors: Anchors | None) -> str:
    if anchors is None:
        return ""
    lines = [f"{name}: {'BAD' if anchors.faults else 'good'}, {anchors.lines} lines of anchors"]
    lines += [f"  line {fault.line}: {_plain(fault.what)}" for fault in anchors.faults]
    return "\n" + "\n".join(lines) + "\n"
