"""How a body or a message of a cloud becomes a value. What is not clearly said is not said.

JSON leaves open which of two members of the same name counts, and parsers differ. A cloud that says `LOCKED` and
`UNLOCKED` of one lock has said nothing; neither has a proxy that put two answers together.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
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


def read_number(value: object) -> float | None:
    """A finite number, if it is one and is not too large for one."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None


def read_time(text: str) -> datetime | None:
    """An ISO 8601 time in UTC; one without a zone is taken for UTC. None where it is none, or lies out of our years."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def read_http_date(text: str) -> datetime | None:
    """The time of a header such as Date, with its zone (RFC 9110, 5.6.7)."""
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _check_once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Twice
