"""A worker that is killed between the other side's answer and its record: the reader has the notice once by its id."""

from __future__ import annotations

import asyncio
from pathlib import Path

from unlatch.domain.access import Position
from unlatch.domain.notice import NoticeEvent
from unlatch.flow.failpoint import Point
from unlatch.flow.notifying import tell
from unlatch.store.database import Database
from unlatch.town.desk import CarrierDesk, Consignee
from unlatch.town.installation import Installation


async def test_a_letter_whose_worker_was_killed_is_sent_again_and_known_as_the_same(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with Installation(
        data_dir=tmp_path, database_url=database_url, factor=30, workers_at_start=0
    ) as installation:
        town, to = installation.town, "ann@example.org"
        carrier = CarrierDesk(installation.server_url, await installation.admit_carrier("Parcel Post"))
        made = await carrier.register_consignee("Ann Lee")
        car = await town.add_car("onstar", "1G1ZD5ST0JF000042")
        place = await carrier.register_car(
            made.id, car, Position(latitude=33.749, longitude=-84.388), account_kind="newer",
            make="Chevrolet", model="Malibu", model_year=2018, colour="blue", plate="ABC 123",
        )  # fmt: skip
        consignee = Consignee(installation.server_url, made.key)
        channel = await consignee.post("/v1/me/channels", {"kind": "email", "to": to}, dict)
        code = (await town.mail(to)).letters[0].subject[-6:]
        await consignee.post(f"/v1/me/channels/{channel['id']}/confirm", {"code": code}, dict)
        async with database.transaction() as connection:
            now = installation.clock.now()
            await tell(connection, NoticeEvent.BOOKED, place_id=place.id, key="stp_1/1", now=now)
        killed = await installation.start_worker(fail_at=Point.AFTER_LETTER)
        assert await killed.wait_for_end(60) == -9
        assert (await town.mail(to)).letters[-1].times == 1
        await installation.start_worker()
        async with asyncio.timeout(60):
            while (await consignee.get("/v1/me/notices", dict))["notices"][0]["dispatches"][0][
                "state"
            ] != "sent":
                await asyncio.sleep(0.2)
        box = await town.mail(to)
        assert (box.received, [one.times for one in box.letters]) == (3, [1, 2])  # the code, and one notice
        (shown,) = (await consignee.get("/v1/me/notices", dict))["notices"]
        assert shown["dispatches"][0]["tries"] == 2
        await consignee.close()
        await carrier.close()
