"""Barcodes that nobody would print: each is a label or a named fault, at once, and never another parcel's label."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

from unlatch.domain.label import Label, LabelFault, Symbol, read_label
from unlatch.domain.label_formats import FORMATS

SLOWEST_S = 0.25  # of one label, on a machine that does other things besides
SIGNS = (
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcxyz"
    " ()[]{}<>%/\\+-_.,:;?&=#'\"\x00\x1d\x1e\x04\x7fÄ€\U0001d7d9\ud800\u202e"
)
IDENTIFIERS = (None, "", "]C1", "]C0", "]d2", "]Q3", "]e0", "]X9", "C1", "]", "]C1]C1", "\x00")
SEEDS = [each.example for each in FORMATS] + [
    "(00)003401234500000017", "00003401234500000017", "\x1d00003401234500000017",
    "https://id.gs1.org/00/003401234500000017",
    "https://example.org/01/09506000134352/21/abc?17=261231",
    "[)>\x1e06\x1dP123\x1d1JUN123456789\x1e\x04", "420941031234",
    "01095060001343528200http://x", "",
]  # fmt: skip


def mutate(lot: random.Random, text: str) -> str:
    """One to four small accidents."""
    for _ in range(lot.randint(1, 4)):
        at = lot.randint(0, len(text))
        kind = lot.randrange(7)
        if kind == 0:
            text = text[:at] + lot.choice(SIGNS) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + 1 :]
        elif kind == 2 and text:
            text = text[: at - 1] + lot.choice(SIGNS) + text[at:]
        elif kind == 3:
            text = text[:at]
        elif kind == 4:
            text += lot.choice(SEEDS)
        elif kind == 5:
            text = text * lot.choice((2, 3, 50)) if len(text) < 2000 else text[:10]
        else:
            text = "".join(lot.choice(SIGNS) for _ in range(lot.randint(0, 60)))
    return text


def try_barcodes(seed: int, count: int) -> dict[str, Any]:
    """Read so many; what they were taken for, the slowest, and what went wrong."""
    lot, kinds = random.Random(seed), Counter[str]()
    slowest_s, slowest, broken = 0.0, "", []
    own = "sscc:003401234500000017"
    for number in range(count):
        text = mutate(lot, lot.choice(SEEDS))
        symbol = Symbol(data=text, symbology_identifier=lot.choice(IDENTIFIERS))
        begun_s = time.perf_counter()
        try:
            found = read_label(symbol, expected_keys=frozenset({own}) if lot.random() < 0.3 else frozenset())
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            broken.append(f"{number}: {text!r} {symbol.symbology_identifier!r}: {error!r}")
            continue
        took_s = time.perf_counter() - begun_s
        if took_s > slowest_s:
            slowest_s, slowest = took_s, text
        if isinstance(found, LabelFault):
            kinds[found.value] += 1
        else:
            kinds[found.kind.value] += 1
            broken += _judge(number, text, found)
    if slowest_s > SLOWEST_S:
        broken.append(f"{slowest_s:.3f} s for {slowest[:80]!r}")
    return {"seed": seed, "count": count, "taken_for": dict(sorted(kinds.items())), "broken": broken}


def _judge(number: int, text: str, found: Label) -> list[str]:
    """A label's number stands in what was scanned, sign by sign, and in no other."""
    told = found.key.partition(":")[2]
    seen = "".join(sign for sign in text if sign.isascii() and sign.isalnum()).upper()
    # A number of the USPS may be printed without the two digits in front that say what it is; we know it with them.
    wanted = {told, told[2:]} if found.key.startswith("usps:") else {told}
    return (
        []
        if any(one.upper() in seen for one in wanted)
        else [f"{number}: {text!r} was taken for {found.key}"]
    )
