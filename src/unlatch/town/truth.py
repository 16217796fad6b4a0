"""What really happened, by the town's ledger: to hold what the platform says against."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from unlatch.town.car import WENT_WELL, Deed
from unlatch.town.home import HomeDeed
from unlatch.town.ledger import LedgerRow

_FREES = frozenset({Deed.UNLOCK_TRUNK, Deed.UNLOCK, Deed.KEY_UNLOCK})
_LOCKS = frozenset({Deed.LOCK_TRUNK, Deed.LOCK, Deed.KEY_LOCK})
_OPENING_SERVICES = frozenset({"unlock", "open", "open_cover"})
RELOCKED = "relocked"


def count_unlocks_asked(rows: Iterable[LedgerRow]) -> int:
    """How many requests to unlock reached the cloud, whatever their fate."""
    return sum(row.kind == "request" and row.what.lower().startswith("unlock") for row in rows)


def count_freed(rows: Iterable[LedgerRow]) -> int:
    """How often the trunk was freed by its cloud."""
    return sum(_is_done(row, _FREES) and bool(row.command_id) for row in rows)


def was_secured(rows: Iterable[LedgerRow], at: datetime) -> bool:
    """Whether the trunk was closed and locked at that moment; it was so at the beginning."""
    is_locked, is_open = True, False
    for row in sorted((row for row in rows if row.kind == "happening" and row.at <= at), key=_order):
        if _is_done(row, _FREES):
            is_locked = False
        elif _is_done(row, _LOCKS) or row.what == RELOCKED:
            is_locked = True
        elif _is_done(row, frozenset({Deed.OPEN_TRUNK})):
            is_open = True
        elif _is_done(row, frozenset({Deed.CLOSE_TRUNK})):
            is_open = False
    return is_locked and not is_open


def is_opening_asked(row: LedgerRow) -> bool:
    """Whether this is a request to open a home's door that has reached its hub, whatever its fate."""
    return row.kind == "request" and row.what in _OPENING_SERVICES


def count_openings_asked(rows: Iterable[LedgerRow]) -> int:
    """How many of them there were."""
    return sum(map(is_opening_asked, rows))


def was_home_secured(rows: Iterable[LedgerRow], at: datetime) -> bool:
    """Whether a home was closed and held at that moment; it was so at the beginning.

    A garage that moves counts as it ended last: its rows are written when a movement is over.
    """
    is_thrown, is_open = True, False
    for row in sorted((row for row in rows if row.kind == "happening" and row.at <= at), key=_order):
        if row.outcome not in WENT_WELL and row.what != RELOCKED:
            continue
        match row.what:
            case HomeDeed.UNLOCK | HomeDeed.KEY_UNLOCK:
                is_thrown = False
            case HomeDeed.UNLATCH:
                is_thrown, is_open = False, True
            case HomeDeed.LOCK | HomeDeed.KEY_LOCK | "relocked":
                is_thrown = True
            case HomeDeed.OPEN_DOOR | HomeDeed.OPEN_COVER:
                is_open = True
            case HomeDeed.CLOSE_DOOR | HomeDeed.CLOSE_COVER:
                is_open = False
    return is_thrown and not is_open


def list_late(rows: Iterable[LedgerRow]) -> list[LedgerRow]:
    """Commands that took effect a second time, later."""
    return [row for row in rows if row.kind == "happening" and row.why == "late"]


def _order(row: LedgerRow) -> tuple[datetime, int]:
    return row.at, row.number


def _is_done(row: LedgerRow, deeds: frozenset[Deed]) -> bool:
    return row.kind == "happening" and row.what in deeds and row.outcome in WENT_WELL
