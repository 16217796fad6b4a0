"""How much a process answers for nobody in particular: so many a second, a few more at once."""

from __future__ import annotations

import time


class Turnstile:
    """Lets through `a_second` on average and `at_once` after a pause. Real time; used from one event loop."""

    def __init__(self, *, a_second: float = 100.0, at_once: float = 200.0) -> None:
        self._a_second = a_second
        self._at_once = at_once
        self._left = at_once
        self._seen_at_s = time.monotonic()

    def lets_through(self) -> bool:
        """Count one more, if there is room for it."""
        now_s = time.monotonic()
        self._left = min(self._at_once, self._left + (now_s - self._seen_at_s) * self._a_second)
        self._seen_at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
