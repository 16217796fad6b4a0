"""`unlatch day`: live a day of deliveries on an installation of its own, kill its processes, and check the promise.

The long day is that of the launch of 2018: its programme, its 37 areas, its windows, from the night before until the
last courier on the Pacific coast is home. The short one has the same people and faults within an hour of town time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from unlatch.errors import UnlatchError
from unlatch.town.day import Day
from unlatch.town.day_check import Verdict, check_day
from unlatch.town.day_plan import ZONES, Errand, Shift, Trouble
from unlatch.town.desk import CarrierDesk, OperatorDesk
from unlatch.town.installation import CLOCK_FILE, Installation, make_data_dir
from unlatch.town.rules import make_rules

# At 60 a grant lives for one real second: two cores that also play the town could not keep up with 2,000 stops.
FACTOR, SHORT_FACTOR = 24.0, 30.0
WINDOW_BEGINS = time_of_day(12)  # one of the programme's
BEGINS_AT = time_of_day(6, 30)  # in New York, so that all is booked before the first morning's notice
NIGHT_ZONE = ZoneInfo("America/New_York")
WORKERS = 2
SHORT_LEAD = timedelta(minutes=16)  # from the bookings to the first courier
SHORT_WINDOW_S = 45 * 60.0
# What a car last told is still young: where its cloud does not tell that it is out of reach, nobody can know yet.
SHOWS_LATE = frozenset({Trouble.ASLEEP, Trouble.OFFLINE})
SHORT_CHECKS = ("14 min", "8 min")  # before the courier is expected


@dataclass(frozen=True, kw_only=True)
class DayWishes:
    """What was asked for on the command line."""

    stops: int = 2000
    kills: int = 10
    seed: int = 0
    is_short: bool = False


async def run_day(data_dir: Path, wishes: DayWishes, tell: Callable[[str], None]) -> dict[str, Any]:
    """Live it and check it; the figures, with every broken promise as a sentence. Raises UnlatchError."""
    began_s = time.monotonic()
    factor = SHORT_FACTOR if wishes.is_short else FACTOR
    more = {}
    make_data_dir(data_dir)
    if wishes.is_short:
        more["UNLATCH_RULES_DIR"] = str(make_rules(data_dir, SHORT_CHECKS))
    else:
        _start_in_the_night(data_dir, factor)
    installation = Installation(
        data_dir=data_dir, factor=factor, workers_at_start=WORKERS, seed=wishes.seed, more=more, tell=tell
    )
    async with installation:
        programme = () if wishes.is_short else ("--programme", "launch-2018")
        carrier_key = (await installation.run("carrier", "add", "Parcel Post", *programme)).strip()
        operator_key = await installation.admit_operator("Olga")
        async with (
            CarrierDesk(installation.server_url, carrier_key) as carrier,
            OperatorDesk(installation.server_url, operator_key) as operator,
        ):
            day = _make_day(installation, carrier, operator, wishes, tell)
            await day.live()
            verdict = await check_day(day)
        ended = [member.name for member in installation.list_dead()]
        for name in ended[sum(day.killed.values()) :]:
            verdict.broken.append(f"{name} has ended by itself")
    return _sum_up(day, verdict, wishes, time.monotonic() - began_s)


def _make_day(
    installation: Installation,
    carrier: CarrierDesk,
    operator: OperatorDesk,
    wishes: DayWishes,
    tell: Callable[[str], None],
) -> Day:
    if wishes.is_short:
        begins_at = installation.clock.now() + SHORT_LEAD
        shift = Shift(
            stops=wishes.stops,
            areas=8,
            stops_a_courier=3,
            seed=wishes.seed,
            begins_at=dict.fromkeys(ZONES.values(), begins_at),
            window_s=SHORT_WINDOW_S,
            kinds=tuple(kind for kind in Trouble if kind not in SHOWS_LATE),
        )

        def window_of(_: Errand) -> dict[str, Any]:
            until_at = begins_at + timedelta(seconds=SHORT_WINDOW_S)
            return {"window_from": begins_at, "window_until": until_at}

    else:
        day = installation.clock.now().astimezone(NIGHT_ZONE).date()
        begins = {
            zone: datetime.combine(day, WINDOW_BEGINS, tzinfo=ZoneInfo(zone)) for zone in ZONES.values()
        }
        shift = Shift(stops=wishes.stops, seed=wishes.seed, begins_at=begins)

        def window_of(_: Errand) -> dict[str, Any]:
            return {"window": {"date": day.isoformat(), "from": WINDOW_BEGINS.isoformat()}}

    return Day(
        installation=installation,
        carrier=carrier,
        operator=operator,
        shift=shift,
        kills=wishes.kills,
        window_of=window_of,
        tell=tell,
    )


def _start_in_the_night(data_dir: Path, factor: float) -> None:
    """Let the town's clock show the small hours of tomorrow as it starts."""
    now = datetime.now(UTC)
    tomorrow = now.astimezone(NIGHT_ZONE).date() + timedelta(days=1)
    begins_at = datetime.combine(tomorrow, BEGINS_AT, tzinfo=NIGHT_ZONE).astimezone(UTC)
    anchor_at = now - (begins_at - now) / (factor - 1)
    path = data_dir / CLOCK_FILE
    if path.exists():
        raise UnlatchError(f"{data_dir} has lived a day already: give another folder")
    path.write_text(json.dumps({"factor": factor, "anchor_at": anchor_at.isoformat()}), encoding="utf-8")


def _sum_up(day: Day, verdict: Verdict, wishes: DayWishes, took_s: float) -> dict[str, Any]:
    return {
        "stops": len(day.lived),
        "areas": len({lived.errand.area for lived in day.lived}),
        "seed": wishes.seed,
        "kills": dict(day.killed),
        **{name: verdict.counts[name] for name in sorted(verdict.counts)},
        "took_s": round(took_s),
        "broken": verdict.broken,
    }
