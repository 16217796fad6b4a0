"""Ranges of bytes (RFC 9110, section 14), as far as players ask for them: one at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from unlatch.web.problems import ProblemError, Trouble

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """From `begin` to before `end`."""

    begin: int
    end: int

    def header(self, size: int) -> str:
        """The value of Content-Range."""
        return f"bytes {self.begin}-{self.end - 1}/{size}"


def find_range(given: str | None, size: int, *, at_most: int) -> ByteRange | None:
    """The range that is asked for, cut to what is there and to `at_most` bytes; None: none, or several, or nonsense.

    A server may give less than was asked for: a player asks for the rest. Raises ProblemError (416) for one that is
    behind the end.
    """
    found = _RANGE.fullmatch(given.strip()) if given else None
    if found is None or not (found[1] or found[2]):
        return None
    if found[1]:
        begin = int(found[1])
        end = int(found[2]) + 1 if found[2] else max(size, begin + 1)
        if end <= begin:
            return None
    else:
        begin, end = max(0, size - int(found[2])), size
    if begin >= size:
        raise ProblemError(
            Trouble.OUT_OF_RANGE, f"there are {size} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    return ByteRange(begin=begin, end=min(end, size, begin + at_most))
