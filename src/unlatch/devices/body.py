"""How a body or a message of a cloud becomes a value. What is not clearly said is not said.

JSON leaves open which of two members of the same name counts, and parsers differ. A cloud that says `LOCKED` and
`UNLOCKED` of one lock has said nothing; neither has a proxy that put two answers together.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec


class _Twice(ValueError):
    """A name comes twice in one object."""


def read_json(raw: bytes) -> Any:
    """The JSON value of `raw`; None where it is none, or where an object in it has a name twice."""
    try:
        value = msgspec.json.decode(raw)
        json.loads(
            raw.decode(), object_pairs_hook=_check_once
        )  # msgspec is strict in all else, and takes the last
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return value


def _check_once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Twice
