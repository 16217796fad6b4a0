"""Hands for tests of the day: a stop's window, its duties, and their jobs one by one, without a worker of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from math import pi
from typing import Any

from psycopg.rows import dict_row
from tests.flow.stage import HERE, Stage, Stop

from unlatch.domain.access import EARTH_RADIUS_M
from unlatch.domain.incident import Incident
from unlatch.domain.reading import Reading
from unlatch.flow.due import do_due
from unlatch.flow.duties import plan_duties
from unlatch.flow.heading import Heading, set_out
from unlatch.flow.locating import Located, locate
from unlatch.flow.preflight import carry_out_preflight
from unlatch.store import consignees, duties, readings, stops
from unlatch.store.duties import DutyKind, DutyRow
from unlatch.store.stops import StopRow

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


async def set_window(
    stage: Stage, stop: Stop, *, begins_in: timedelta, lasts: timedelta = 4 * HOUR, **columns: Any
) -> StopRow:
    """Give a stop another window, and plan its duties anew, as if that had been done the day before at the latest."""
    now = stage.platform.clock.now()
    values = {"window_from": now + begins_in, "window_until": now + begins_in + lasts, **columns}
    sets = ", ".join(f"{name} = %({name})s" for name in values)
    async with stage.platform.database.connection() as connection:
        await connection.execute(
            f"UPDATE stop SET plan_number = plan_number + 1, {sets} WHERE id = %(stop_id)s".encode(),
            {**values, "stop_id": stop.stop_id},
        )
    return await plan(stage, stop, at=min(now, values["window_from"] - 24 * HOUR))


async def plan(stage: Stage, stop: Stop, *, at: datetime | None = None) -> StopRow:
    """Write down what is due for the stop as it is planned, now or at another moment."""
    rules = await stage.platform.rules.get()
    async with stage.platform.database.transaction() as connection:
        row = await stops.find_stop(connection, stop.stop_id)
        point = await consignees.find_access_point(connection, stop.place_id)
        assert row is not None
        assert point is not None
        programme = rules.get_programme(row.programme)
        await plan_duties(connection, row, point, programme, at or stage.platform.clock.now())
    return row


async def get_stop(stage: Stage, stop: Stop) -> StopRow:
    async with stage.platform.database.connection() as connection:
        row = await stops.find_stop(connection, stop.stop_id)
    assert row is not None
    return row


async def list_duties(stage: Stage, stop: Stop) -> dict[str, DutyRow]:
    """Those of the present plan, by kind."""
    row = await get_stop(stage, stop)
    async with stage.platform.database.connection() as connection:
        found = await duties.list_of_stop(connection, stop.stop_id, row.plan_number)
    return {duty.kind: duty for duty in found}


async def states(stage: Stage, stop: Stop) -> dict[str, tuple[str, str | None]]:
    """State and outcome of each duty of the present plan."""
    return {kind: (duty.state, duty.outcome) for kind, duty in (await list_duties(stage, stop)).items()}


async def query(stage: Stage, text: str, values: Any = None) -> list[dict[str, Any]]:
    async with (
        stage.platform.database.connection() as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        await cursor.execute(text.encode(), values)
        return await cursor.fetchall() if cursor.description else []


async def take_jobs(stage: Stage) -> list[str]:
    """The payloads of the pre-flights that were handed over, taken out of the engine."""
    rows = await query(stage, "DELETE FROM pgqueuer WHERE entrypoint = 'preflight' RETURNING payload")
    return [bytes(row["payload"]).decode() for row in rows]


async def run_due(stage: Stage, *, rounds: int = 1) -> None:
    """Do what is due; in each further round what was put off is due again."""
    for number in range(rounds):
        if number:
            await query(
                stage, "UPDATE duty SET next_at = %s WHERE state = 'due' AND tries > 0", [_now(stage)]
            )
        await do_due(stage.platform, 100)
        for payload in await take_jobs(stage):
            await carry_out_preflight(stage.platform, payload)


async def make_due(stage: Stage, stop: Stop, kind: DutyKind) -> None:
    """As if its moment had come."""
    text = "UPDATE duty SET next_at = %s WHERE stop_id = %s AND kind = %s AND state = 'due'"
    await query(stage, text, [_now(stage), stop.stop_id, str(kind)])


def _now(stage: Stage) -> datetime:
    return stage.platform.clock.now()


async def list_notices(stage: Stage, stop: Stop) -> list[tuple[str, str]]:
    """Whom, and of what, in the order in which they were told."""
    rows = await query(
        stage,
        "SELECT reader, event FROM notice WHERE stop_id = %s ORDER BY created_at, reader DESC",
        [stop.stop_id],
    )
    return [(row["reader"], row["event"]) for row in rows]


async def list_events(stage: Stage, stop: Stop) -> list[str]:
    """What the consignee was told."""
    return [event for reader, event in await list_notices(stage, stop) if reader == "consignee"]


async def get_facts(stage: Stage, stop: Stop, event: str) -> dict[str, Any]:
    rows = await query(
        stage,
        "SELECT facts FROM notice WHERE stop_id = %s AND event = %s AND reader = 'consignee'",
        [stop.stop_id, event],
    )
    facts: dict[str, Any] = rows[-1]["facts"]
    return facts


async def save_reading(stage: Stage, stop: Stop, *, age: timedelta = timedelta(), **told: Any) -> None:
    """As if the car had been asked, and had told this of itself, so long ago."""
    at = _now(stage) - age
    reading = Reading(
        observed_at=at, **{"is_locked": True, "is_open": False, "is_moving": False, "position": None, **told}
    )
    async with stage.platform.database.connection() as connection:
        await readings.save_reading(connection, stop.place_id, reading, at)


async def ruled_out(stage: Stage, stop: Stop) -> Incident | None:
    row = await get_stop(stage, stop)
    return Incident(row.ruled_out) if row.ruled_out else None


async def let_a_minute_pass(stage: Stage) -> None:
    """As if every car had been asked a while ago: it may be asked again."""
    await query(stage, "DELETE FROM read_budget")
    await query(stage, "UPDATE reading SET tried_at = tried_at - interval '2 minutes'")


# ---- what breaks, and who asks

# Its budget is used up, and no reading is on its way.
SPENT = "INSERT INTO read_budget VALUES (%s, current_date + 9, 9999, now() - interval '1 day')"


def north(metres: float) -> float:
    return HERE.latitude + metres / EARTH_RADIUS_M * 180 / pi


def consignee_of(stop: Stop) -> str:
    return stop.place_id.replace("acc_", "con_")


async def go(stage: Stage, stop: Stop, **changes: Any) -> Heading:
    """The courier wants to set out for it."""
    async with stage.platform.database.transaction() as connection:
        return await set_out(
            connection,
            stop_id=stop.stop_id,
            courier_id=stop.courier_id,
            carrier_id=stop.place_id.replace("acc_", "car_"),
            **{"expected_at": None, "now": stage.platform.clock.now(), **changes},
        )


async def find_car(stage: Stage, stop: Stop) -> Located:
    return await locate(
        stage.platform,
        stop_id=stop.stop_id,
        courier_id=stop.courier_id,
        carrier_id=stop.place_id.replace("acc_", "car_"),
        position=HERE,
    )


Break = Callable[[Stage, Stop], Awaitable[Any]]


def fault(kind: str, **how: Any) -> Break:
    return lambda stage, stop: stage.town.set_fault(stop.vin, kind, **how)


def row(table: str, sets: str) -> Break:
    key = "id" if table == "access_point" else "access_point_id"
    return lambda stage, stop: query(stage, f"UPDATE {table} SET {sets} WHERE {key} = %s", [stop.place_id])


def moved(metres: float) -> Break:
    return lambda stage, stop: stage.town.move(stop.vin, north(metres), HERE.longitude)
