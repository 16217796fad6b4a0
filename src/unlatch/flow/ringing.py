"""The bell: before a door of ours opens, whoever is at home is asked (RING).

Where the home has a bell that its hub can ring, it is rung once more by us; the courier rings or knocks anyway, as the
app tells them. Nothing hangs on it: the wait runs by the protocol's clock.
"""

from __future__ import annotations

import structlog

from unlatch.devices.base import Car, Maker
from unlatch.domain.visit import State
from unlatch.errors import DeviceError
from unlatch.flow.platform import Platform
from unlatch.flow.refreshing import ask
from unlatch.store import readings, visits

log = structlog.get_logger(__name__)


async def ring(platform: Platform, visit_id: str) -> None:
    """Ring at that visit's home, if it has a bell that can be rung and the visit still waits. Safe to call again."""
    async with platform.database.connection() as connection:
        row = await visits.get_visit(connection, visit_id)
        place = await readings.find_place(connection, row.access_point_id)
    if row.visit.state is not State.RINGING or place is None:
        return

    async def press(maker: Maker, car: Car) -> None:
        await maker.ring(car)

    try:
        await ask(platform, place, press)
    except DeviceError as error:
        log.info("a bell was not rung", visit=visit_id, why=error.code)
