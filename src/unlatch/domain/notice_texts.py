"""What a notice says: a subject and a body for each event, each of its readers and each language.

A text is a row of sentences, and a sentence is one way of saying it or several, the fullest first. The first whose
placeholders are all known is taken; where there is none, the sentence is left out. So a fact that is missing, or that
this release does not know, makes a notice shorter and never wrong.

The texts stand in `notice_texts_en.py` and `notice_texts_fr.py`. They go through mail servers, push services and
telephone networks: never a plate, never a position, never a link with a secret in it. *Locked* is said of a delivery
alone that was seen locked (S5).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from string import Formatter
from typing import Any

from unlatch.domain import notice_texts_en, notice_texts_fr
from unlatch.domain.access import Fallback, PlaceKind
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent, NoticeReader
from unlatch.domain.notice_phrases import Phrases, Template, ways
from unlatch.domain.notice_timing import read_moment
from unlatch.domain.preflight import Remedy
from unlatch.domain.preflight_texts import REASON_TEXTS, reason_text, remedy_text
from unlatch.domain.wording import Language, Reader, text_of

MAX_SUBJECT = 60
MAX_NAME = 100
MAX_TOLD = 200
# What a text may name, and from which facts it is made.
PLACEHOLDERS: Mapping[str, tuple[str, ...]] = {
    "window": ("window_from", "window_until"),
    "fallback_goes": ("fallback",),  # what happens to the parcel: "goes to a neighbour"
    "fallback_went": ("fallback",),  # what has happened to it
    "obstacle": ("incident",),  # what stands in the way, now
    "advice": ("remedy",),  # what to do about it
    "mind": ("kind",),  # what the household of a home must mind before the courier comes
    "keep": ("kind",),  # and until the parcel is in
    "incident": ("incident",),  # what went wrong, as the visit's pages say it
    "courier": ("courier",),
    "who": ("who",),
    "carrier": ("carrier",),
    "place": ("place",),
    "camera": ("camera",),
    "told": ("told",),
    "claim": ("claim",),
    "state": ("state",),
    "at": ("at",),
    "at_exact": ("at",),  # to the second
    "until": ("until",),
    "range_m": ("range_m",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is read: one line of at most 60 characters, and one paragraph."""

    subject: str
    body: str


def write_notice(
    event: NoticeEvent,
    reader: NoticeReader,
    language: Language,
    facts: Mapping[str, Any],
    zone: tzinfo,
) -> Words:
    """What this reader is told. `zone` is that of the address: its clock says when.

    Raises KeyError where the event does not concern this reader.
    """
    phrases = _phrases(language)
    return _write(phrases.texts[event][reader], _values(phrases, reader, language, facts, zone))


def write_confirmation(language: Language, code: str) -> Words:
    """What a new channel is sent first: the code that shows that it is theirs."""
    return _write(_phrases(language).confirmation, {"code": code})


def write_trial(language: Language) -> Words:
    """What a channel is sent when its reader wants to see whether it works."""
    return _write(_phrases(language).trial, {})


def names_in(way: str) -> set[str]:
    """The placeholders of one way of saying something."""
    return {name for _, name, _, _ in Formatter().parse(way) if name is not None}


def _write(text: Template, values: Mapping[str, str]) -> Words:
    subject = next(
        said for way in ways(text.subject) if (said := _say(way, values)) and len(said) <= MAX_SUBJECT
    )
    said_all = [next(filter(None, (_say(way, values) for way in ways(one))), None) for one in text.body]
    return Words(subject=subject, body=" ".join(said for said in said_all if said))


def _say(way: str, values: Mapping[str, str]) -> str | None:
    return way.format_map(values) if names_in(way) <= values.keys() else None


def _values(
    phrases: Phrases, reader: NoticeReader, language: Language, facts: Mapping[str, Any], zone: tzinfo
) -> dict[str, str]:
    """What each placeholder says; one whose facts are missing is not among them."""
    found: dict[str, str | None] = {}
    for name in ("courier", "who", "carrier", "place", "camera", "claim"):
        found[name] = _clean(facts.get(name), MAX_NAME)
    told = _clean(facts.get("told"), MAX_TOLD)
    found["told"] = phrases.say_quoted(told) if told else None
    _add_times(found, phrases, facts, zone)
    _add_fallback(found, phrases, facts, column=0 if reader is NoticeReader.CONSIGNEE else 1)
    _add_incident(found, reader, language, facts)
    if facts.get("kind") == PlaceKind.HOME:
        found["mind"], found["keep"] = phrases.mind_home, phrases.keep_home
    found["state"] = phrases.claim_states.get(str(facts.get("state")))
    range_m = facts.get("range_m")
    if isinstance(range_m, int | float) and not isinstance(range_m, bool) and 0 < range_m < 100_000:
        found["range_m"] = f"{range_m:.0f}" if "mind" not in found else None  # nobody parks at a home
    return {name: said for name, said in found.items() if said}


def _add_times(
    found: dict[str, str | None], phrases: Phrases, facts: Mapping[str, Any], zone: tzinfo
) -> None:
    begins, ends = read_moment(facts.get("window_from")), read_moment(facts.get("window_until"))
    if begins is not None and ends is not None and begins < ends:
        found["window"] = phrases.say_window(begins.astimezone(zone), ends.astimezone(zone))
    if (at := read_moment(facts.get("at"))) is not None:
        found["at"] = phrases.say_moment(at.astimezone(zone), False)
        found["at_exact"] = phrases.say_moment(at.astimezone(zone), True)
    if (until := read_moment(facts.get("until"))) is not None:
        found["until"] = phrases.say_moment(until.astimezone(zone), False)


def _add_fallback(
    found: dict[str, str | None], phrases: Phrases, facts: Mapping[str, Any], *, column: int
) -> None:
    try:
        fallback = Fallback(str(facts.get("fallback")))
    except ValueError:
        return
    found["fallback_goes"] = phrases.fallback_goes[fallback][column]
    found["fallback_went"] = phrases.fallback_went[fallback][column]


def _add_incident(
    found: dict[str, str | None], reader: NoticeReader, language: Language, facts: Mapping[str, Any]
) -> None:
    """What went wrong, in the words of a visit; and in those of pre-flight, which speak of what is still to come."""
    words = Reader.CONSIGNEE if reader is NoticeReader.CONSIGNEE else Reader.OPERATOR
    with suppress(ValueError):
        incident = Incident(str(facts.get("incident")))
        found["incident"] = text_of(incident, words, language)
        if incident in REASON_TEXTS:
            is_home = facts.get("kind") == PlaceKind.HOME
            found["obstacle"] = reason_text(incident, language, PlaceKind.HOME if is_home else PlaceKind.CAR)
    with suppress(ValueError):
        found["advice"] = remedy_text(Remedy(str(facts.get("remedy"))), language)


def _clean(given: Any, most: int) -> str | None:
    """One line of printable text, cut; None where there is none. It may stand in a mail's header."""
    if not isinstance(given, str):
        return None
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in given).split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _phrases(language: Language) -> Phrases:
    return notice_texts_fr.PHRASES if language is Language.FRENCH else notice_texts_en.PHRASES
