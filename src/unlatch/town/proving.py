"""The proof of a visit in the demo: exported, verified offline, and once more with one byte changed."""

from __future__ import annotations

import asyncio
import random
import re
from pathlib import Path

import msgspec

from unlatch.errors import UnlatchError
from unlatch.town.api import Caller
from unlatch.town.installation import Installation
from unlatch.town.narrator import Narrator
from unlatch.town.timeline import Verified

LABELS, PROOFS = "labels", "proofs"
KEY_FILE = "public.key"  # beside the proofs: what `unlatch verify --key` takes
VERIFY_WITHIN_S = 60.0


def make_folders(data_dir: Path) -> None:
    """Where labels and proofs are put."""
    for folder in (LABELS, PROOFS):
        (data_dir / folder).mkdir(mode=0o700, exist_ok=True)


def keep_proof_key(data_dir: Path, public_key: str) -> None:
    """Put the key beside the proofs."""
    (data_dir / PROOFS / KEY_FILE).write_text(f"{public_key}\n", encoding="ascii")


async def prove(
    installation: Installation,
    narrator: Narrator,
    *,
    visit_id: str,
    exporter: Caller,
    exporter_name: str,
    proof: Path,
    lot: random.Random,
) -> list[tuple[str, bool]]:
    """Export the proof, verify it offline, and again with one byte changed; what must hold, and whether it does."""
    changed = proof.with_name(f"{proof.stem}-changed.unlatch-proof")
    content = await exporter.export_proof(visit_id)
    other, what = change_a_byte(content, lot)
    for path, written in ((proof, content), (changed, other)):
        await asyncio.to_thread(path.write_bytes, written)
    key = ("--key", str(proof.with_name(KEY_FILE)))
    (code, printed, complaint), (changed_code, changed_printed, _) = await asyncio.gather(
        installation.try_to_run("verify", *key, "--json", str(proof), timeout_s=VERIFY_WITHIN_S),
        installation.try_to_run("verify", *key, str(changed), timeout_s=VERIFY_WITHIN_S),
    )
    if not printed:
        raise UnlatchError(f"unlatch verify ended with {code}: {complaint[:500]}")
    verdict = msgspec.json.decode(printed, type=Verified).files[0]
    for row in verdict.timeline:
        narrator.line(f"    {row}")
    narrator.line(
        f"  unlatch verify {proof.name}, exported by {exporter_name}: "
        f"{'good' if verdict.is_good else 'BAD'}, {verdict.entries} rows",
        "faint",
    )
    faults = [line.strip() for line in changed_printed.splitlines()[1:] if line.startswith("  line ")]
    fault = faults[0] if faults else "nothing"
    narrator.line(f"  unlatch verify {changed.name}, {what}:", "faint")
    narrator.line(f"    {fault}", "faint")
    return [
        ("unlatch verify finds the proof good", code == 0),
        ("unlatch verify finds the changed byte", changed_code == 1 and bool(faults)),
    ]


async def prove_clip(
    installation: Installation, narrator: Narrator, *, clip: bytes, proof: Path, lot: random.Random
) -> list[tuple[str, bool]]:
    """Check a clip against its visit's proof, and again with one bit flipped: the part is to be named."""
    at = lot.randrange(len(clip) // 4, len(clip) * 3 // 4)  # of the pictures, not of the index around them
    other = clip[:at] + bytes([clip[at] ^ 1 << lot.randrange(8)]) + clip[at + 1 :]
    whole, flipped = proof.with_suffix(".mp4"), proof.with_name(f"{proof.stem}-flipped.mp4")
    for path, written in ((whole, clip), (flipped, other)):
        await asyncio.to_thread(path.write_bytes, written)
    words = ("verify", "--key", str(proof.with_name(KEY_FILE)), str(proof), "--clip")
    (code, _, _), (flipped_code, printed, _) = await asyncio.gather(
        *(installation.try_to_run(*words, str(path), timeout_s=VERIFY_WITHIN_S) for path in (whole, flipped))
    )
    named = [line.strip() for line in printed.splitlines() if re.search(r"part \d+ of take \d+", line)]
    narrator.line(
        f"  unlatch verify {proof.name} --clip {flipped.name}, one bit of byte {at} flipped:", "faint"
    )
    narrator.line(f"    {named[0] if named else 'nothing'}", "faint")
    return [
        ("unlatch verify finds the clip good", code == 0),
        ("unlatch verify names the part whose bit was flipped", flipped_code == 1 and bool(named)),
    ]


def change_a_byte(content: bytes, lot: random.Random) -> tuple[bytes, str]:
    """The proof with a digit changed in one of its middle lines, and which one that is."""
    lines = content.splitlines(keepends=True)
    number = len(lines) // 2
    begins = sum(map(len, lines[:number]))
    digits = [at for at, byte in enumerate(lines[number]) if chr(byte).isdigit()]
    at = begins + lot.choice(digits)
    other = ord("0") + (content[at] - ord("0") + 1) % 10
    what = f"byte {at} of {len(content)} changed from {chr(content[at])} to {chr(other)}"
    return content[:at] + bytes([other]) + content[at + 1 :], what
