"""Canonical JSON (RFC 8785) for what a journal may hold: one value, one sequence of bytes.

Allowed: str, int, bool, None, lists and mappings with str keys. **No floats**: two programs print them
differently, so whoever writes to the journal decides their digits (`f"{latitude:.6f}"`, or a scaled integer
such as `accuracy_mm`). Within that subset the bytes equal those of the package `rfc8785` (a test compares
them), at a third of its cost, and with the standard library alone: a proof can be verified anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from json.encoder import encode_basestring

LARGEST_INTEGER = 2**53 - 1  # RFC 8785 takes its numbers from JavaScript
DEEPEST = 32


class NotCanonical(ValueError):
    """This value, or these bytes, can't stand in a journal; the message says where and why."""


def canonical(value: object) -> bytes:
    """The one way to write `value`. Raises NotCanonical."""
    try:
        return _text(value, DEEPEST).encode()
    except UnicodeEncodeError:
        raise NotCanonical("half of a surrogate pair is no character") from None


def _text(value: object, depth: int) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        if not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            raise NotCanonical("an integer beyond 2^53 - 1; write it as a string")
        return int.__repr__(value)
    if not depth:
        raise NotCanonical(f"nested deeper than {DEEPEST}")
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101 (asking for a dict alone is quick)
        return _mapping_text(value, depth - 1)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([_text(item, depth - 1) for item in value]) + "]"
    if isinstance(value, float):
        raise NotCanonical("a float; write it as a string or as a scaled integer")
    raise NotCanonical(f"a journal can't hold a {type(value).__name__}")


def _mapping_text(value: Mapping[object, object], depth: int) -> str:
    names: list[str] = []
    for name in value:
        if not isinstance(name, str):
            raise NotCanonical("a name that is not text")
        names.append(name)
    if all(map(str.isascii, names)):
        names.sort()
    else:
        names.sort(key=_utf_16)
    return "{" + ",".join([f"{encode_basestring(name)}:{_text(value[name], depth)}" for name in names]) + "}"


def _utf_16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _refuse_float(text: str) -> object:
    raise NotCanonical(f"a number with a fraction or an exponent ({text[:20]})")


def read_canonical(line: bytes) -> object:
    """What a line says, if it is written in exactly the one way. Raises NotCanonical."""
    try:
        value: object = json.loads(line.decode(), parse_float=_refuse_float, parse_constant=_refuse_float)
    except UnicodeDecodeError:
        raise NotCanonical("not UTF-8") from None
    except RecursionError:
        raise NotCanonical(f"nested deeper than {DEEPEST}") from None
    except NotCanonical:
        raise
    except ValueError:
        raise NotCanonical("not JSON") from None
    if canonical(value) != line:
        raise NotCanonical("not written in the canonical way (white space, order or escapes differ)")
    return value
