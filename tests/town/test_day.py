"""The simulated day: its errands are as asked for, and its check finds each kind of broken promise."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from unlatch.domain.access import Position, distance_m
from unlatch.domain.vin import read_vin
from unlatch.town.day_check import (
    CODE,
    NoticeSeen,
    StopSeen,
    Verdict,
    _check_notices,
    _check_parcel,
    _check_sent,
)
from unlatch.town.day_plan import PARKED_WITHIN_M, ZONES, Errand, Shift, Trouble, draw_errands, step_aside
from unlatch.town.desk import Parcel
from unlatch.town.post_office import Arrived
from unlatch.town.rounds import End, Lived

NOON = {zone: datetime(2026, 11, 27, 12, tzinfo=ZoneInfo(zone)) for zone in ZONES.values()}
AT = datetime(2026, 11, 27, 18, tzinfo=UTC)
WELL = ("booked", "morning_of_delivery", "courier_on_the_way", "courier_arriving", "unlocked", "delivered")


def test_the_errands_of_a_day_are_spread_over_all_areas_and_couriers() -> None:
    errands = draw_errands(Shift(begins_at=NOON))
    assert len(errands) == len({one.vin for one in errands}) == len({one.label for one in errands}) == 2000
    assert set(Counter(one.area for one in errands).values()) == {54, 55}
    assert len({one.area for one in errands}) == 37
    assert max(Counter(one.courier for one in errands).values()) == 12
    assert sum(one.trouble is not None for one in errands) == 160  # 8 %
    assert sum(one.is_mended for one in errands) == 80
    assert {one.trouble for one in errands} == {None, *Trouble}
    for one in errands:
        assert distance_m(one.address, one.parked_at) <= PARKED_WITHIN_M + 1
        assert read_vin(one.vin).fault is None
        begins_at = NOON[one.time_zone]
        assert begins_at <= one.expected_at < begins_at + timedelta(hours=4)


def test_the_same_seed_gives_the_same_day_and_another_one_another() -> None:
    shift = Shift(stops=60, areas=5, begins_at=NOON)
    again, other = draw_errands(shift), draw_errands(Shift(stops=60, areas=5, seed=1, begins_at=NOON))
    assert draw_errands(shift) == again
    assert [one.vin for one in other] != [one.vin for one in again]
    assert len({one.area for one in again}) == 5


@pytest.mark.parametrize("bearing", [0, 45, 90, 180, 270, 359])
def test_a_step_aside_is_as_long_as_it_says(bearing: float) -> None:
    start = Position(latitude=47.6, longitude=-122.3)
    assert distance_m(start, step_aside(start, 500, bearing)) == pytest.approx(500, rel=0.01)


# ---- the check


def lived(trouble: Trouble | None = None, **changes: object) -> Lived:
    errand: Errand = draw_errands(Shift(stops=1, areas=1, troubled=0, begins_at=NOON))[0]
    one = Lived(errand=errand, was_sent=True, has_located=True, end=End.DELIVERED)
    object.__setattr__(one.errand, "trouble", trouble)
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def told(*events: str) -> list[NoticeSeen]:
    return [NoticeSeen(id=event, event=event, dispatches=[]) for event in events]


def mail(*events: str, times: int = 1) -> list[Arrived]:
    return [
        Arrived(once_id=str(n), times=times, subject="", body="", event=event, at=AT, headers={})
        for n, event in enumerate((CODE, *events))
    ]


def found(one: Lived, notices: tuple[str, ...], letters: list[Arrived]) -> list[str]:
    verdict = Verdict()
    _check_notices("stop", one, told(*notices), letters, verdict)
    return [text.partition(": ")[2].partition(":")[0].partition(" {")[0] for text in verdict.broken]


def test_a_day_as_promised_breaks_nothing_and_counts_what_was_handed_in_twice() -> None:
    verdict = Verdict()
    _check_notices("stop", lived(), told(*WELL), mail(*WELL, times=2), verdict)
    assert verdict.broken == []
    assert (verdict.counts["notices"], verdict.counts["repeats_on_the_wire"]) == (6, 7)


def test_a_mail_that_never_came_one_too_many_and_a_lie_are_found() -> None:
    assert found(lived(), WELL, mail(*WELL[:-1])) == ["told", "never told"]
    assert found(lived(), (*WELL, "booked"), mail(*WELL, "booked")) == ["told again"]
    assert found(lived(), WELL[1:], mail(*WELL[1:])) == ["never told"]
    assert found(lived(), (*WELL, "ruled_out"), mail(*WELL, "ruled_out")) == ["told what was not so"]
    fallback = lived(end=End.FALLBACK, fallback="neighbour")
    assert found(fallback, WELL, mail(*WELL)) == ["never told", "told what was not so"]


def test_a_letter_that_was_overtaken_is_no_loss_but_one_of_the_end_is() -> None:
    """The worker was dead while the courier arrived and delivered."""

    def dropped(name: str) -> list[NoticeSeen]:
        return [
            NoticeSeen(id=event, event=event, dispatches=[{"state": "dropped" if event == name else "sent"}])
            for event in WELL
        ]

    verdict = Verdict()
    rest = [event for event in WELL if event != "courier_arriving"]
    _check_notices("stop", lived(), dropped("courier_arriving"), mail(*rest), verdict)
    assert (verdict.broken, verdict.counts["overtaken"]) == ([], 1)
    verdict = Verdict()
    rest = [event for event in WELL if event != "delivered"]
    _check_notices("stop", lived(), dropped("delivered"), mail(*rest), verdict)
    assert len(verdict.broken) == 2, "it is told, but not in the mailbox; and never told"


def seen(**changes: object) -> StopSeen:
    values = {
        "state": "delivered", "ruled_out": None, "ruled_out_at": None, "heading_at": AT,
        "parcels": [Parcel(id="par_1", label="sscc:1", place="in_place")], **changes,
    }  # fmt: skip
    return StopSeen(**values)  # type: ignore[arg-type]


def broken_by(one: Lived, stop: StopSeen) -> list[str]:
    verdict = Verdict()
    _check_sent("stop", one, stop, verdict)
    _check_parcel("stop", one, stop, verdict)
    return verdict.broken


def test_a_courier_who_was_sent_in_vain_and_a_parcel_elsewhere_are_found() -> None:
    assert broken_by(lived(), seen()) == []
    late = seen(ruled_out="device_asleep", ruled_out_at=AT - timedelta(seconds=1))
    assert "sent after device_asleep" in broken_by(lived(), late)[0]
    assert "sent to a car that was not well" in broken_by(lived(trouble=Trouble.ASLEEP), seen())[0]
    assert (
        "nobody was sent" in broken_by(lived(was_sent=False, end=End.FALLBACK, fallback="depot"), seen())[0]
    )
    nowhere = seen(parcels=[Parcel(id="par_1", label="sscc:1", place="with_courier")])
    assert "the parcel is ['with_courier'], not in_place" in broken_by(lived(), nowhere)[0]
    assert "never came to an end" in broken_by(lived(end=End.LOST), seen(parcels=[], state="open"))[0]
