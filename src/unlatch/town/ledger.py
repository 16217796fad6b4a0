"""What the town's clouds were asked and what its cars really did: the ground truth to compare ledgers with.

Append-only, bounded, in memory. Every row has a number that only grows; a reader keeps the last one as its
cursor. Rows of requests are written when the last byte of the request was read; rows of happenings carry the
moment of the happening, though they are written when the town next looks at that car: the town looks at every
car with deeds due before it answers a reader, so no row is missing whose time has come.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from itertools import islice

import msgspec

MAX_ROWS = 400_000
MAX_PAGE = 5_000


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row.

    `kind`: request (a cloud got it; `outcome` is taken, cut or the status of its refusal), answer (the end
    that a cloud told), happening (what a car or hands did; also what was tried in vain).
    """

    number: int
    kind: str
    at: datetime  # town time
    monotonic_s: float  # real, of the town's process
    vin: str
    what: str
    outcome: str = ""
    command_id: str = ""
    why: str = ""
    trace: str = ""  # the caller's X-Request-Id, cut to 64 characters


class LedgerPage(msgspec.Struct, frozen=True, kw_only=True):
    """`is_torn`: rows between the cursor and the first row here were dropped, since the ledger is bounded."""

    rows: list[LedgerRow]
    cursor: int
    is_torn: bool


class Ledger:
    """Rows in the order of their numbers, the oldest dropped first."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._rows: deque[LedgerRow] = deque(maxlen=max_rows)
        self._number = 0

    def add(
        self,
        kind: str,
        *,
        at: datetime,
        monotonic_s: float,
        vin: str,
        what: str,
        outcome: str = "",
        command_id: str = "",
        why: str = "",
        trace: str = "",
    ) -> None:
        self._number += 1
        self._rows.append(
            LedgerRow(
                number=self._number,
                kind=kind,
                at=at,
                monotonic_s=monotonic_s,
                vin=vin,
                what=what,
                outcome=outcome,
                command_id=command_id,
                why=why,
                trace=trace,
            )
        )

    @property
    def number(self) -> int:
        """The last row's number."""
        return self._number

    def page(self, since: int, limit: int = MAX_PAGE, vin: str | None = None) -> LedgerPage:
        """Rows numbered above `since`, at most `limit`; of one car only, if `vin` is given."""
        first = self._number - len(self._rows) + 1
        start = max(0, since + 1 - first)
        rows: list[LedgerRow] = []
        cursor = max(since, first - 1)
        for row in islice(self._rows, start, None):
            if len(rows) == min(limit, MAX_PAGE):
                break
            cursor = row.number
            if vin is None or row.vin == vin:
                rows.append(row)
        return LedgerPage(
            rows=rows, cursor=cursor, is_torn=since + 1 < first and self._number > 0 and first > 1
        )

    def clear(self) -> None:
        """Forget the rows; the numbers go on."""
        self._rows.clear()
