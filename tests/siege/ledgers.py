"""Three ledgers laid beside each other: what couriers were told, what the platform wrote, what the clouds were asked.

Equations, not impressions: each is a pair of sets or sums that must be the same, and whatever is on one side alone is
named. Besides, every invariant of `tests/invariants.py` is checked at each place.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from msgspec.structs import replace
from psycopg.rows import dict_row
from tests import invariants
from tests.siege.couriers import DELIVERED, Account
from tests.siege.proxy import SEEN_LATE_S
from tests.siege.siege import SKEWS_S, WITH_PERSON, Siege

from unlatch.domain.visit import FINAL, State
from unlatch.town.client import TownClient
from unlatch.town.control import Truth
from unlatch.town.ledger import LedgerRow

SHOWN = 20
UNLOCKS = invariants.UNLOCKS


@dataclass(kw_only=True)
class Verdict:
    """What was counted, and what does not hold."""

    figures: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def need_none(self, name: str, found: Sequence[Any]) -> None:
        """Nothing may be on one side alone."""
        self.figures[name] = len(found)
        if found:
            self.broken.append(f"{name}: {len(found)}, such as {', '.join(map(str, found[:SHOWN]))}")

    def need_same(self, name: str, left: int, right: int) -> None:
        """An equation."""
        self.figures[name] = f"{left} = {right}" if left == right else f"{left} ≠ {right}"
        if left != right:
            self.broken.append(f"{name}: {left} and {right}")


class ReadTown(TownClient):
    """The town's ledger as it was read while the siege went on, by car; all else is asked of the town.

    A request stands there with the moment when it left: what a line held back was sent all the same.
    """

    def __init__(self, town: TownClient, rows: Sequence[LedgerRow], left_at: Mapping[str, datetime]) -> None:
        super().__init__(town.base_url)
        self._rows: dict[str, list[LedgerRow]] = defaultdict(list)
        for row in rows:
            is_ours = row.kind == "request" and row.trace in left_at
            self._rows[row.vin].append(replace(row, at=min(row.at, left_at[row.trace])) if is_ours else row)

    async def whole_ledger(self, since: int = 0, vin: str | None = None) -> list[LedgerRow]:
        assert vin is not None
        return self._rows[vin]


async def compare(siege: Siege) -> Verdict:
    """All equations, and every invariant of every place."""
    verdict = Verdict()
    accounts = siege.crew.accounts
    async with siege.database.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:

        async def read(query: str) -> list[dict[str, Any]]:
            await cursor.execute(query.encode())
            return await cursor.fetchall()

        visits = {one["id"]: one for one in await read("SELECT * FROM visit")}
        commands = {one["id"]: one for one in await read("SELECT * FROM command WHERE verb = 'unlock'")}
        used = await read("SELECT visit_id FROM grant_ WHERE state = 'used'")
        gates = await read("SELECT visit_id FROM journal WHERE name = 'gate_passed'")
        not_sent = {
            one["visit_id"]
            for one in await read("SELECT visit_id FROM journal WHERE name = 'unlock_not_sent'")
        }
        words = Counter(
            (one["visit_id"], one["name"])
            for one in await read("SELECT visit_id, name FROM journal WHERE name LIKE 'courier%'")
        )
        seen = {
            one["visit_id"]
            for one in await read(
                "SELECT visit_id FROM journal WHERE name IN ('seen_locked', 'seen_locked_for_good', "
                "'courier_pulled_handle')"
            )
        }
        called = {one["visit_id"] for one in await read("SELECT visit_id FROM call WHERE kind = 'operator'")}
        parcels = {one["stop_id"]: one["place"] for one in await read("SELECT stop_id, place FROM parcel")}
    _compare_scans(verdict, accounts, visits)
    _compare_ends(verdict, visits)
    _compare_unlocks(verdict, siege.rows, visits, commands)
    passed = Counter(one["visit_id"] for one in gates)
    verdict.need_none("gates passed twice", [one for one, count in passed.items() if count > 1])
    verdict.need_same("grants used = gates passed", len(used), len(gates))
    exposed = set(passed) - not_sent
    verdict.need_none("after a gate neither seen locked nor anybody called", sorted(exposed - seen - called))
    lost = [told for account in accounts for told in account.told if not words[told[0], told[1].value]]
    verdict.figures["words acknowledged"] = sum(len(account.told) for account in accounts)
    verdict.need_none("acknowledged words lost", lost)
    _compare_parcels(verdict, accounts, parcels)
    await _check_places(verdict, siege)
    return verdict


def _compare_scans(verdict: Verdict, accounts: Sequence[Account], visits: dict[str, dict[str, Any]]) -> None:
    """A scan whose answer was lost is asked again, and finds the visit that it began: each scan is one visit."""
    accepted = {one for account in accounts for one in account.visit_ids}
    verdict.need_same("scans accepted = visits", len(accepted), len(visits))
    verdict.need_none("scans taken on without a visit", sorted(accepted - set(visits)))
    verdict.need_none(
        "visits that no courier knows",
        [f"{one} {visits[one]['state']}" for one in sorted(set(visits) - accepted)],
    )


def _compare_ends(verdict: Verdict, visits: dict[str, dict[str, Any]]) -> None:
    states = Counter(State(one["state"]) for one in visits.values())
    delivered = sum(states[one] for one in DELIVERED)
    person = sum(states[one] for one in WITH_PERSON)
    fallback = sum(states[one] for one in FINAL - DELIVERED)
    verdict.figures |= {"delivered": delivered, "fallback": fallback, "with a person": person}
    verdict.figures["ends"] = {one.value: count for one, count in sorted(states.items())}
    verdict.need_same(
        "visits = delivered + fallback + with a person", len(visits), delivered + fallback + person
    )


def _compare_unlocks(
    verdict: Verdict,
    rows: Sequence[LedgerRow],
    visits: dict[str, dict[str, Any]],
    commands: dict[str, dict[str, Any]],
) -> None:
    arrived = [row for row in rows if row.kind == "request" and row.what in UNLOCKS]
    asked = Counter(row.trace for row in arrived)
    requests = Counter(row.outcome for row in rows if row.kind == "request")
    verdict.figures["requests that reached a cloud, by what came of them"] = dict(requests.most_common())
    verdict.figures["unlocks that reached a cloud"] = asked.total()
    verdict.need_none(
        "unlocks that reached a cloud twice", [one for one, count in asked.items() if count > 1]
    )
    sent = {one for one, row in commands.items() if row["sent_at"] is not None and row["state"] != "not_sent"}
    unknown = {one for one in sent if commands[one]["state"] == "unknown" and one not in asked}
    refused = {row.trace for row in arrived if row.outcome != "taken" and row.trace not in sent}
    verdict.figures["of them refused, and so surely not sent"] = len(refused)
    verdict.need_none("unlocks taken on by a cloud that were not sent", sorted(set(asked) - sent - refused))
    verdict.need_none(
        "unlocks sent that no cloud got, though their end is known", sorted(sent - set(asked) - unknown)
    )
    verdict.need_same(
        "unlocks at clouds = sent + refused - unknown", asked.total(), len(sent) + len(refused) - len(unknown)
    )
    verdict.figures["unknown, one by one"] = sorted(unknown)
    verdict.figures["commands by state"] = dict(Counter(one["state"] for one in commands.values()))


def _compare_parcels(verdict: Verdict, accounts: Sequence[Account], parcels: dict[str, str]) -> None:
    """Where the courier left it is where the platform says it is."""
    bad = [
        f"{account.errand.stop_id} ({account.place}, {parcels.get(account.errand.stop_id)})"
        for account in accounts
        if account.place and parcels.get(account.errand.stop_id) != account.place
    ]
    verdict.need_none("parcels elsewhere than their courier says", bad)
    verdict.need_none(
        "errands without an end", [f"{one.errand.stop_id} {one.why}" for one in accounts if one.why]
    )


async def _check_places(verdict: Verdict, siege: Siege) -> None:
    """Every invariant of every place; and that every car is locked, or a person was called."""
    broken: list[str] = []
    gate = asyncio.Semaphore(4)
    put_off = 0
    told = await siege.lines.tell("clouds")
    verdict.figures["seconds in which nobody listened at the clouds' line"] = round(told.blind_s, 1)
    async with ReadTown(siege.installation.town, siege.rows, siege.left_at(told)) as town:

        async def check(account: Account, struck: Sequence[tuple[datetime, datetime]] = ()) -> str:
            try:
                await invariants.check_place(
                    siege.database,
                    town,
                    place_id=account.errand.stop_id.replace("stp_", "acc_"),
                    vin=account.errand.vin,
                    factor=siege.wishes.factor,
                    skew_s=max(SKEWS_S),
                    seen_late_s=SEEN_LATE_S,
                    struck=struck,
                )
            except invariants.Broken as error:
                return f"{account.errand.vin} {account.trouble}: {str(error)[:3000]}"
            return ""

        async def one(account: Account) -> None:
            nonlocal put_off
            async with gate:
                if await check(account):
                    if still := await check(account, siege.struck):
                        broken.append(still)
                    else:
                        put_off += 1

        await asyncio.gather(*(one(account) for account in siege.crew.accounts if account.visit_ids))
        try:
            await invariants.check_everywhere(siege.database)
        except invariants.Broken as error:
            broken.append(str(error)[:3000])
    verdict.figures["promises of time that a blow has put off"] = put_off
    cars: list[Truth] = []
    while page := await siege.installation.town.list_cars(len(cars)):
        cars += page
    verdict.figures["cars"] = len(cars)
    verdict.figures["cars locked in the end"] = sum(car.is_secured for car in cars)
    verdict.need_none("invariants broken", broken)
