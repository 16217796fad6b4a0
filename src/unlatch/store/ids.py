"""Identifiers that sort by time, and keys that nobody can guess.

An identifier is a word for the kind and a UUID version 7 (RFC 9562, section 5.7) in hexadecimal:
`vis_0192f4c8...`. Its 12 bits behind the millisecond carry the fraction of it (section 6.2, method 3), and
are counted up where two are made within one tick, so that those of one process never go back.

A key has 256 random bits. Only its SHA-256 is kept: what can't be guessed needs no slow hash.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time

_TICKS_A_MILLISECOND = 4096
_turn = threading.Lock()
_last_ticks = 0


def make_id(kind: str) -> str:
    """A new identifier: `kind`, an underscore, and 32 hexadecimal digits that sort by the real time."""
    global _last_ticks  # noqa: PLW0603 - one row of identifiers per process
    with _turn:
        milliseconds, rest_ns = divmod(time.time_ns(), 1_000_000)
        ticks = milliseconds * _TICKS_A_MILLISECOND + rest_ns * _TICKS_A_MILLISECOND // 1_000_000
        ticks = _last_ticks = max(ticks, _last_ticks + 1)
    milliseconds, fraction = divmod(ticks, _TICKS_A_MILLISECOND)
    number = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62
    return f"{kind}_{number | secrets.randbits(62):032x}"


def make_key(prefix: str) -> str:
    """A new secret of 256 random bits; `prefix` tells a finder (and a scanner of sources) what it opens."""
    return f"{prefix}_{secrets.token_hex(32)}"


def hash_key(key: str) -> bytes:
    """What is kept of a key: its SHA-256. Looking it up leaks nothing about a key by time."""
    return hashlib.sha256(key.encode("utf-8", errors="surrogatepass")).digest()
