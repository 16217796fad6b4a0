"""Every notice has its words, in both languages, and says no more than is known; and when it may leave."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.domain.test_wording import claims_locked

from unlatch.domain.access import Fallback
from unlatch.domain.booking import StopState
from unlatch.domain.incident import Incident
from unlatch.domain.notice import GROUPS, READERS, NoticeEvent, NoticeGroup, NoticeReader, is_urgent
from unlatch.domain.notice_phrases import ways
from unlatch.domain.notice_texts import (
    MAX_SUBJECT,
    PLACEHOLDERS,
    _phrases,
    names_in,
    write_confirmation,
    write_notice,
    write_trial,
)
from unlatch.domain.notice_timing import (
    OF_DAY,
    OF_PLAN,
    QuietHours,
    StopNow,
    is_overtaken,
    is_pointless,
    leaves_at,
)
from unlatch.domain.preflight import Remedy
from unlatch.domain.preflight_texts import REASON_TEXTS, REMEDY_TEXTS
from unlatch.domain.visit import ORDERS, TAIL_ORDERS, Order, State, Tail
from unlatch.domain.wording import Language

NEW_YORK = ZoneInfo("America/New_York")
TOLD = [(event, reader) for event in NoticeEvent for reader in sorted(READERS[event])]
FACTS = {
    "window_from": "2026-11-26T21:00:00+00:00",
    "window_until": "2026-11-27T01:00:00Z",
    "fallback": "neighbour",
    "incident": "consignee_car_out_of_range",
    "courier": "Bo",
    "who": "Ann Lee",
    "carrier": "Parcel Post",
    "place": "The red one",
    "camera": "Hall",
    "told": "with Mrs Jones at number 7",
    "claim": "clm1",
    "state": "open",
    "at": "2026-11-26T22:03:07.250000+00:00",
    "until": "2026-11-26T20:30:00+00:00",
    "range_m": 200.0,
    "remedy": "move_car_nearer",
    "kind": "car",
}
AT_HOME = {**FACTS, "kind": "home", "remedy": "disarm_alarm", "incident": "consignee_alarm_armed"}
SEEN = {NoticeEvent.DELIVERED}
NOT_CLAIMED = re.compile(
    r"(?:not|n'a pas) (?:been |été )?(?:seen locked|constaté)|verrouillage (?:d|non)", re.IGNORECASE
)


def test_each_event_has_a_text_for_each_of_its_readers_and_no_other() -> None:
    for language in Language:
        texts = _phrases(language).texts
        assert {(event, reader) for event, per in texts.items() for reader in per} == set(TOLD)
    assert set(GROUPS) == set(READERS) == set(NoticeEvent)


@pytest.mark.parametrize(("told", "language"), [*product(TOLD, Language)])
def test_a_text_is_whole_with_all_facts_with_none_and_with_any_one(
    told: tuple[NoticeEvent, NoticeReader], language: Language
) -> None:
    event, reader = told
    pairs = [{}, FACTS, *({name: value} for name, value in FACTS.items())]
    pairs += [
        AT_HOME,
        {"kind": "home"},
        {**AT_HOME, "remedy": "plug_in_camera", "incident": "device_camera_offline"},
    ]
    pairs += [{"window_from": FACTS["window_from"], "window_until": FACTS["window_until"]}]
    for facts in pairs:
        words = write_notice(event, reader, language, facts, NEW_YORK)
        for text in (words.subject, words.body):
            assert text == text.strip()
            assert len(text) > 3
            assert text[0].isupper(), text
            assert not set(text) & set("{}%<>_\n\t"), text
            assert "  " not in text
            assert "None" not in text
            assert "http" not in text
        assert len(words.subject) <= MAX_SUBJECT
        assert len(words.body) <= 480, words.body
        assert re.search(r"[.”»]$", words.body), words.body
        if event not in SEEN:
            text = NOT_CLAIMED.sub("", f"{words.subject}. {words.body}")
            assert not claims_locked(text, language), text


def test_the_last_way_of_saying_a_subject_needs_no_fact_and_every_placeholder_is_known() -> None:
    for language in Language:
        for per in _phrases(language).texts.values():
            for text in per.values():
                assert not names_in(ways(text.subject)[-1])
                assert len(ways(text.subject)[-1]) <= MAX_SUBJECT
                for way in (way for one in (text.subject, *text.body) for way in ways(one)):
                    assert names_in(way) <= set(PLACEHOLDERS), way


def test_nothing_that_could_hold_a_plate_or_a_position_has_a_placeholder() -> None:
    facts = {fact for names in PLACEHOLDERS.values() for fact in names}
    assert facts == set(FACTS)
    assert not {"plate", "latitude", "longitude", "position", "address", "vin"} & facts


def test_the_two_languages_differ_and_french_is_set_as_french_is() -> None:
    for event, reader in TOLD:
        english = write_notice(event, reader, Language.ENGLISH, FACTS, NEW_YORK)
        french = write_notice(event, reader, Language.FRENCH, FACTS, NEW_YORK)
        assert english.subject != french.subject
        assert english.body != french.body
        for text in (french.subject, french.body):
            assert not re.search(r"[^\s«»][:;?!]", text), text
            assert not re.search(r"\b(tu|ton|ta|tes|toi)\b", text, re.IGNORECASE), text


def test_no_text_is_jargon_for_the_consignee() -> None:
    jargon = re.compile(
        r"\b(gate|grant|closure|cloud|token|API|access point|fallback|pre-?flight|quota|reading|point d'accès)\b",
        re.IGNORECASE,
    )
    for event, reader in TOLD:
        for language, incident in product(Language, Incident):
            if reader is NoticeReader.CONSIGNEE:
                words = write_notice(event, reader, language, {**FACTS, "incident": incident}, NEW_YORK)
                assert not jargon.search(words.subject + words.body), words


@pytest.mark.parametrize("language", Language)
def test_what_is_weak_names_its_evidence_and_asks_to_look(language: Language) -> None:
    for event in (NoticeEvent.DELIVERED_LOCK_NOT_SEEN, NoticeEvent.NOT_DELIVERED_LOCK_NOT_SEEN):
        for reader in (NoticeReader.CONSIGNEE, NoticeReader.CARRIER):
            body = write_notice(event, reader, language, FACTS, NEW_YORK).body
            assert {"en": "the lock itself was not seen", "fr": "lui-même n'a pas été constaté"}[
                language
            ] in body
        body = write_notice(event, NoticeReader.CONSIGNEE, language, FACTS, NEW_YORK).body
        assert {"en": "Please look", "fr": "Veuillez vérifier"}[language] in body


def say(event: NoticeEvent, language: Language = Language.ENGLISH, /, **changes: str) -> str:
    return write_notice(event, NoticeReader.CONSIGNEE, language, {**FACTS, **changes}, NEW_YORK).body


def test_times_are_those_of_the_address_and_delivered_is_said_to_the_second() -> None:
    assert "between 16:00 and 20:00 on Thursday 26 November" in say(NoticeEvent.MORNING_OF_DELIVERY)
    assert "jeudi 26 novembre, de 16 h à 20 h" in say(NoticeEvent.MORNING_OF_DELIVERY, Language.FRENCH)
    assert "seen locked at 17:03:07 on Thursday 26 November" in say(NoticeEvent.DELIVERED)
    assert "constaté jeudi 26 novembre à 17 h 03 min 07 s" in say(NoticeEvent.DELIVERED, Language.FRENCH)
    assert "by 15:30 on" in say(NoticeEvent.PREFLIGHT_FAILED)
    late: dict[str, Any] = {
        "window_from": "2026-11-30T23:00:00-05:00",
        "window_until": "2026-12-01T03:30:00-05:00",
    }
    assert "between 23:00 on Monday 30 November and 03:30 on Tuesday 1 December" in say(
        NoticeEvent.BOOKED, **late
    )
    assert "de lundi 30 novembre, 23 h, à mardi 1er décembre, 3 h 30" in say(
        NoticeEvent.BOOKED, Language.FRENCH, **late
    )


def test_the_hour_that_comes_twice_says_which_one_it_is() -> None:
    first = say(NoticeEvent.DELIVERED, at="2026-11-01T05:30:00Z")
    second = say(NoticeEvent.DELIVERED, at="2026-11-01T06:30:00Z")
    assert "01:30:00 EDT" in first
    assert "01:30:00 EST" in second


@pytest.mark.parametrize("language", Language)
def test_every_fallback_and_every_incident_is_said(language: Language) -> None:
    assert len({say(NoticeEvent.FALLBACK_DONE, language, fallback=one) for one in Fallback}) == len(Fallback)
    assert len({say(NoticeEvent.NOT_DELIVERED, language, fallback=one) for one in Fallback}) == len(Fallback)
    assert (
        len({say(NoticeEvent.NOT_DELIVERED, language, incident=one) for one in Incident}) > len(Incident) - 5
    )


def test_what_preflight_finds_is_said_as_it_is_now_with_what_to_do() -> None:
    """The words of a visit speak of what was, and of another way: too early here."""
    for incident in REASON_TEXTS:
        body = say(NoticeEvent.PREFLIGHT_FAILED, incident=incident)
        assert body.startswith(REASON_TEXTS[incident][0])
        assert " was " not in body
    for remedy in Remedy:
        assert REMEDY_TEXTS[remedy][1] in say(NoticeEvent.PREFLIGHT_FAILED, Language.FRENCH, remedy=remedy)


def test_a_home_is_told_what_to_mind_and_nothing_of_a_car() -> None:
    for event, minded in (
        (NoticeEvent.MORNING_OF_DELIVERY, "Please withdraw the second bolt"),
        (NoticeEvent.COURIER_ON_THE_WAY, "Please leave the bolt and the alarm"),
        (NoticeEvent.COURIER_ARRIVING, "Please leave the bolt and the alarm"),
    ):
        words = write_notice(event, NoticeReader.CONSIGNEE, Language.ENGLISH, AT_HOME, NEW_YORK)
        assert minded in words.body
        assert not re.search(r"\b(car|park)\b", f"{words.subject} {words.body}".lower())
        assert minded not in say(event)
    unlocked = {"kind": "home", "incident": "device_unlocked_on_arrival", "remedy": "close_and_lock_door"}
    assert say(NoticeEvent.PREFLIGHT_FAILED, **unlocked).startswith(
        "Your door is unlocked. Close the door of your home and lock it."
    )
    assert say(NoticeEvent.PREFLIGHT_FAILED, Language.FRENCH, **unlocked).startswith(
        "Votre porte est déverrouillée."
    )


def test_facts_that_are_wrong_or_hostile_make_a_text_shorter_and_never_wrong() -> None:
    plain = write_notice(
        NoticeEvent.COURIER_ON_THE_WAY, NoticeReader.CONSIGNEE, Language.ENGLISH, {}, NEW_YORK
    )
    wrong = {"courier": 7, "at": "yesterday", "window_from": "2026-01-01T00:00:00", "fallback": "moon",
             "incident": None, "range_m": True}  # fmt: skip
    assert (
        write_notice(
            NoticeEvent.COURIER_ON_THE_WAY, NoticeReader.CONSIGNEE, Language.ENGLISH, wrong, NEW_YORK
        )
        == plain
    )
    hostile = {"courier": "Bo\r\nBcc: all@example.org{at}{0}" + "x" * 500}
    words = write_notice(
        NoticeEvent.COURIER_ON_THE_WAY, NoticeReader.CONSIGNEE, Language.ENGLISH, hostile, NEW_YORK
    )
    assert words.subject == plain.subject, "a name that is too long for one line is left out of it"
    assert "\n" not in words.body
    assert "\r" not in words.body
    assert len(words.body) < 300


@pytest.mark.parametrize("language", Language)
def test_the_code_of_a_new_channel_is_said(language: Language) -> None:
    words = write_confirmation(language, "123456")
    assert "123456" in words.subject
    assert "123456" in words.body


def test_a_trial_is_said_in_each_language() -> None:
    said = [write_trial(language) for language in Language]
    assert len({one.subject for one in said}) == len({one.body for one in said}) == len(Language)


# ---------------------------------------------------------------- when it may leave


def quiet(begins: str, ends: str) -> QuietHours:
    return QuietHours(
        from_local=time.fromisoformat(begins), until_local=time.fromisoformat(ends), zone=NEW_YORK
    )


def local(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "at", "ends"),
    [
        (("22:00", "07:00"), "2026-11-26T21:59:59", None),
        (("22:00", "07:00"), "2026-11-26T22:00:00", "2026-11-27T07:00:00"),
        (("22:00", "07:00"), "2026-11-27T00:00:00", "2026-11-27T07:00:00"),
        (("22:00", "07:00"), "2026-11-27T06:59:59", "2026-11-27T07:00:00"),
        (("22:00", "07:00"), "2026-11-27T07:00:00", None),
        (("13:00", "15:00"), "2026-11-27T13:00:00", "2026-11-27T15:00:00"),
        (("13:00", "15:00"), "2026-11-27T15:00:00", None),
        (("22:00", "22:00"), "2026-11-27T22:00:00", None),
        (("22:00", "07:00"), "2026-12-31T23:00:00", "2027-01-01T07:00:00"),
    ],
)
def test_quiet_hours_at_their_edges(hours: tuple[str, str], at: str, ends: str | None) -> None:
    assert quiet(*hours).find_end(local(at)) == (None if ends is None else local(ends))


def test_quiet_hours_on_the_days_when_the_clock_jumps() -> None:
    """On 8 March 2026 two o'clock is three; on 1 November an hour comes twice."""
    spring, autumn = local("2026-03-07T22:00:00"), local("2026-10-31T22:00:00")
    night = quiet("22:00", "07:00")
    assert night.find_end(spring) == spring + timedelta(hours=8) == local("2026-03-08T07:00:00")
    assert night.find_end(autumn) == autumn + timedelta(hours=10) == local("2026-11-01T07:00:00")
    short = quiet("22:00", "01:30")
    second = local("2026-11-01T01:10:00", fold=1)
    assert short.find_end(second) == local("2026-11-01T01:30:00", fold=1)
    gap = quiet("22:00", "02:30")
    end = gap.find_end(local("2026-03-08T01:59:00"))
    assert end == local("2026-03-08T03:30:00")
    for hours in (night, short, gap):
        for minute in range(0, 60 * 24 * 2, 7):
            for start in (spring, autumn):
                at = start + timedelta(minutes=minute)
                found = hours.find_end(at)
                assert found is None or at < found <= at + timedelta(hours=11), (hours, at, found)


def test_an_alarm_leaves_at_once_and_the_rest_waits() -> None:
    night, at = quiet("22:00", "07:00"), local("2026-11-26T23:00:00")
    for event in NoticeEvent:
        expected = at if GROUPS[event] is NoticeGroup.ALARM else local("2026-11-27T07:00:00")
        assert leaves_at(event, night, at) == expected
        assert leaves_at(event, None, at) == at
        assert is_urgent(event) == (GROUPS[event] is NoticeGroup.ALARM)


def test_what_helps_nobody_any_more_is_dropped() -> None:
    told_at = datetime(2026, 11, 26, 21, tzinfo=UTC)
    ends = datetime(2026, 11, 27, 1, tzinfo=UTC)

    def pointless(event: NoticeEvent, at: datetime) -> bool:
        return is_pointless(event, FACTS, told_at=told_at, at=at)

    way, second = NoticeEvent.COURIER_ON_THE_WAY, timedelta(seconds=1)
    assert not pointless(way, told_at + timedelta(hours=2))
    assert pointless(way, told_at + timedelta(hours=2) + second)
    morning = NoticeEvent.MORNING_OF_DELIVERY
    assert not pointless(morning, ends - second)
    assert pointless(morning, ends)
    assert not is_pointless(morning, {}, told_at=told_at, at=ends)
    for event in (
        NoticeEvent.DELIVERED,
        NoticeEvent.NOT_SECURED,
        NoticeEvent.BOOKED,
        NoticeEvent.NOT_DELIVERED,
    ):
        assert not pointless(event, told_at + timedelta(days=30))
    assert not any(
        pointless(event, told_at + timedelta(days=30)) for event in NoticeEvent if is_urgent(event)
    )


TOLD_AT = datetime(2026, 11, 26, 20, tzinfo=UTC)
AS_TOLD = StopNow(
    state=StopState.OPEN,
    access_point_id="acc_1",
    window_from=datetime(2026, 11, 26, 21, 0, 0, 500_000, tzinfo=UTC),  # a text says it to the second
    window_until=datetime(2026, 11, 27, 1, tzinfo=UTC),
    fallback="neighbour",
    ruled_out=None,
    heading_at=TOLD_AT,
    arriving_at=TOLD_AT,
)
N = NoticeEvent
HOUR = timedelta(hours=1)
ON_THE_WAY = {N.COURIER_ON_THE_WAY, N.COURIER_ARRIVING}
OVERTAKES: list[tuple[str, dict[str, Any], AbstractSet[NoticeEvent]]] = [
    # What contradicts a thing that is said only of a stop that is ruled out, does so from the beginning.
    ("nothing has changed", {}, {N.RULED_OUT, N.REDIRECTED}),
    ("cancelled", {"state": StopState.CANCELLED, "ruled_out": "carrier_cancelled"}, {*OF_PLAN, *OF_DAY}),
    ("ruled out", {"ruled_out": "device_cloud_outage"}, OF_DAY - {N.RULED_OUT}),
    ("goes another way", {"state": StopState.FALLBACK_DUE, "ruled_out": "consignee_redirected"},
     OF_DAY - {N.RULED_OUT}),
    ("and yet another", {"state": StopState.FALLBACK_DUE, "ruled_out": "consignee_redirected", "fallback": "depot"},
     OF_DAY - {N.RULED_OUT} | {N.REDIRECTED}),
    ("delivered", {"state": StopState.DELIVERED}, {*OF_DAY, N.REDIRECTED}),
    ("another place", {"access_point_id": "acc_2"}, {*OF_DAY, N.REDIRECTED}),
    ("another day", {"window_from": AS_TOLD.window_from + HOUR, "window_until": AS_TOLD.window_until + HOUR},
     {*OF_PLAN, *OF_DAY}),
    ("extended", {"window_until": AS_TOLD.window_until + HOUR}, {*OF_PLAN, N.RULED_OUT}),
    ("nobody is on the way", {"heading_at": None, "arriving_at": None}, {*ON_THE_WAY, N.RULED_OUT, N.REDIRECTED}),
    ("another is on the way", {"heading_at": TOLD_AT + HOUR, "arriving_at": TOLD_AT + HOUR},
     {*ON_THE_WAY, N.RULED_OUT, N.REDIRECTED}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "overtaken"), [one[1:] for one in OVERTAKES], ids=[one[0] for one in OVERTAKES]
)
def test_what_a_change_of_the_booking_overtakes(
    changes: dict[str, Any], overtaken: AbstractSet[NoticeEvent]
) -> None:
    now = replace(AS_TOLD, **changes)
    assert {
        event for event in N if is_overtaken(event, FACTS, now, place_id="acc_1", told_at=TOLD_AT)
    } == overtaken


def test_a_fact_that_was_not_told_contradicts_nothing() -> None:
    later = replace(AS_TOLD, window_from=AS_TOLD.window_from + HOUR)
    assert not is_overtaken(N.MORNING_OF_DELIVERY, {}, later, place_id="acc_1", told_at=TOLD_AT)
    assert not is_overtaken(N.BOOKED, {"window_from": "soon"}, later, place_id=None, told_at=TOLD_AT)


def test_what_the_desk_is_alarmed_of_comes_with_a_call() -> None:
    """Which is why a call alone is a letter: an alarm besides would say the same twice."""
    assert Order.CALL_OPERATOR in ORDERS[State.UNSECURED]
    assert all(Order.CALL_OPERATOR in TAIL_ORDERS[tail] for tail in (Tail.ALARM, Tail.BLIND))
    of_the_desk = {event for event in NoticeEvent if NoticeReader.OPERATOR in READERS[event]}
    assert of_the_desk == {N.NOT_SECURED, N.OPENED_AFTERWARDS, N.RECORDING_LOST, N.CALLED}
