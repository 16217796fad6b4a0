"""Many at once: 1,000 scans of one label, two couriers at one car, one courier with two phones."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from tests.journeys.front import HERE, Front, PhoneDoor, fresh_database, open_front, play_through
from tests.journeys.playing import Play

from unlatch.domain.visit import State
from unlatch.store.embedded import Embedded
from unlatch.town.api import Problem, Visit
from unlatch.town.desk import CarrierDesk
from unlatch.town.phone import CourierPhone
from unlatch.town.truth import count_unlocks_asked

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCANS = 1000
CONNECTIONS = 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(
    server: Embedded, template_database: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Front]:
    """Two workers, so that orders are contended for too."""
    with fresh_database(server, template_database, f"contention_{worker_id}") as url:
        async with open_front(tmp_path_factory.mktemp("contention"), url, workers_at_start=2) as front:
            yield front


async def count(front: Front, table: str, place_id: str) -> int:
    query = f"SELECT count(*) FROM {table} JOIN visit ON visit.id = visit_id WHERE access_point_id = %s"
    async with front.database.connection() as connection:
        row = await (await connection.execute(query.encode(), (place_id,))).fetchone()
    assert row is not None
    return int(row[0])


async def finish(play: Play, door: PhoneDoor) -> None:
    await play.go_on()
    await play.until(lambda seen: seen.is_over)
    await door.check()
    await door.front.check_all()


async def test_a_thousand_scans_of_one_label_are_one_grant_and_one_unlock(front: Front) -> None:
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with (
        httpx.AsyncClient(timeout=60, limits=limits, trust_env=False, verify=False) as http,
        front.open_door("onstar", phone=await front.carrier.equip_courier("Bo", http=http)) as door,
    ):
        await door.tell_reading()
        label = f"(00){door.label}"
        scans = (door.phone.scan_text(door.stop_id, label, HERE) for _ in range(SCANS))
        visits = await asyncio.gather(*scans)
        assert len({visit.id for visit in visits}) == 1
        assert await door.scan() == visits[0].id
        assert await count(front, "grant_", door.place_id) == 1
        await finish(Play(door=door), door)
        assert await count(front, "grant_", door.place_id) == 1
        assert count_unlocks_asked(await front.town.whole_ledger(vin=door.vin)) == 1


async def scan(phone: CourierPhone, door: PhoneDoor) -> Visit | Problem:
    try:
        return await phone.scan_text(door.stop_id, f"(00){door.label}", HERE)
    except Problem as problem:
        return problem


async def test_two_couriers_at_one_car_open_it_once(front: Front) -> None:
    """Each with a parcel and a stop of their own, both scanning again and again."""
    async with front.open_door("volvo") as door, front.open_door("volvo", beside=door) as beside:
        await door.tell_reading()
        answers = await asyncio.gather(
            *(scan(door.phone, door) for _ in range(20)), *(scan(beside.phone, beside) for _ in range(20))
        )
        visits = [answer for answer in answers if isinstance(answer, Visit)]
        live = {visit.id for visit in visits if visit.state != State.REFUSED}
        assert len(live) == 1
        assert {answer.reasons[0].code for answer in visits if answer.reasons} == {"platform_place_busy"}
        first, second = (door, beside) if visits[0].id in live else (beside, door)
        del second
        assert await first.scan() in live
        await finish(Play(door=first), first)
        assert count_unlocks_asked(await front.town.whole_ledger(vin=door.vin)) == 1


async def test_one_courier_has_one_visit_whatever_the_phone(front: Front) -> None:
    """Two phones of one courier at two cars: one opens, the other is told to finish first."""
    async with front.open_door("onstar") as here:
        courier_id = here.phone.courier_id
        second = CourierPhone(front.carrier.base_url)
        await second.enrol(await front.carrier.invite_phone(courier_id))
        async with front.open_door("volvo", phone=second) as there:
            await asyncio.gather(here.tell_reading(), there.tell_reading())
            answers = await asyncio.gather(
                *(
                    scan(phone, door)
                    for door in (here, there)
                    for phone in (here.phone, second)
                    for _ in range(5)
                )
            )
            visits = [answer for answer in answers if isinstance(answer, Visit)]
            states = Counter(visit.state == State.REFUSED for visit in visits)
            live = {visit.id: visit.stop_id for visit in visits if visit.state != State.REFUSED}
            assert len(live) == 1, states
            assert {visit.next_step for visit in visits if visit.state == State.REFUSED} == {
                "finish_other_visit"
            }
            door = here if set(live.values()) == {here.stop_id} else there
            await door.scan()
            await finish(Play(door=door), door)
            ledgers = [await front.town.whole_ledger(vin=one.vin) for one in (here, there)]
            assert sum(count_unlocks_asked(rows) for rows in ledgers) == 1


async def test_a_stop_is_nobody_elses(front: Front) -> None:
    """Another courier of the carrier is refused, and one of another carrier finds nothing."""
    stranger = await front.equip_phone("Cy")
    other = await front.installation.admit_carrier("Other")
    async with (
        stranger,
        CarrierDesk(front.carrier.base_url, other) as desk,
        await desk.equip_courier("Di") as nobody,
        front.open_door("onstar") as door,
    ):
        await door.tell_reading()
        refused = await scan(stranger, door)
        assert isinstance(refused, Visit)
        assert "courier_not_on_route" in [reason.code for reason in refused.reasons]
        nothing = await scan(nobody, door)
        assert isinstance(nothing, Problem)
        assert nothing.status == 404
        await play_through(door)
        await door.check()
