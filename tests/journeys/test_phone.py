"""The people's programs against a server that dies: a request is done once, a stream misses and repeats nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from unlatch.town.api import Line, Problem, read_events
from unlatch.town.demo import Demo
from unlatch.town.desk import CarrierDesk, OperatorDesk
from unlatch.town.installation import Installation
from unlatch.town.narrator import Narrator
from unlatch.town.proving import make_folders
from unlatch.town.stories import PLOTS, Cast
from unlatch.town.truth import count_unlocks_asked


async def make_cast(installation: Installation) -> Cast:
    carrier = CarrierDesk(installation.server_url, await installation.admit_carrier("Parcel Post"))
    operator = OperatorDesk(installation.server_url, await installation.admit_operator("Olga"))
    make_folders(installation.data_dir)
    demo = Demo(
        installation=installation,
        narrator=Narrator(clock=installation.clock),
        carrier=carrier,
        operator=operator,
        lot=random.Random(5),
    )
    return await demo.cast(PLOTS[0])


async def close_all(cast: Cast) -> None:
    for caller in (cast.carrier, cast.operator, cast.consignee, cast.phone):
        await caller.close()


async def test_a_server_that_is_killed_in_mid_visit_costs_nothing(database_url: str, tmp_path: Path) -> None:
    async with Installation(data_dir=tmp_path, database_url=database_url, factor=10) as installation:
        cast = await make_cast(installation)
        await cast.find_car()
        visit = await cast.scan()
        lines: list[Line] = []

        async def follow() -> None:
            async for line in cast.carrier.follow(visit.id):
                lines.append(line)
                if line.state == "delivered":
                    return

        following = asyncio.create_task(follow())
        await cast.until(visit, "ready", "unlocked")
        restarting = asyncio.create_task(installation.restart_server())
        await cast.open_trunk(visit)  # the phone tries until it is answered
        await cast.put_in(visit)
        await restarting
        await cast.close_trunk(visit)
        await cast.until(visit, "delivered")
        async with asyncio.timeout(30):
            await following
        assert [line.number for line in lines] == list(range(1, len(lines) + 1))
        names = [line.name for line in lines]
        assert names.count("gate_passed") == 1
        assert names.count("courier_deposited") == 1
        assert count_unlocks_asked(await installation.town.whole_ledger(vin=cast.vin)) == 1
        assert (await installation.town.state(cast.vin)).is_secured
        await close_all(cast)


async def test_a_refusal_is_no_reason_to_try_again(installation: Installation) -> None:
    cast = await make_cast(installation)
    with pytest.raises(Problem) as caught:
        await cast.phone.scan_text(cast.stop_id, "not a label at all", cast.here)
    assert (caught.value.status, caught.value.trouble) == (422, "label_unreadable")
    stolen = CarrierDesk(installation.server_url, cast.phone.key)  # the phone's token without its key
    with pytest.raises(Problem) as caught:
        await stolen.get("/v1/courier/stops", dict)
    assert caught.value.status == 401
    await stolen.close()
    assert [stop.id for stop in await cast.phone.stops()] == [cast.stop_id]
    await close_all(cast)


async def test_events_are_read_as_the_standard_says() -> None:
    async def lines() -> AsyncIterator[str]:
        for line in (
            "retry: 1000",
            "",
            ": alive",
            "",
            "id: 4",
            "event: line",
            "data: {",
            "data:}",
            "",
            "event: over",
            "data: {}",
            "",
        ):
            yield line

    assert [event async for event in read_events(lines())] == [("line", "{\n}"), ("over", "{}")]
