"""Refusals in the reader's language: what flow and the API raise in English, as a page shows it.

Whoever raises a refusal writes it once, in English, with its values put in; the API tells it so, and its `text` is what
an app shows to who reads no English (the courier's). Its French stands in
`locale/fr/refusals.po`, where a value is a placeholder: "at most %(count)s places". A text that is not there as it
stands is matched against those, the longest first, and its values go into the French one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from unlatch.web.pages.language import Speech, read_catalogue
from unlatch.web.problems import TROUBLES, ProblemError

CATALOGUE = "refusals.po"
SAID_TOO = frozenset({"why", "role"})  # values that are themselves said in the reader's language
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
MAX_CHARACTERS = 2000  # of a text that is looked up; a longer one is shown as it is
OR_NULL = " | null"  # of a shape whose value may be left out: nothing to tell a person

FIELDS: Mapping[str, str] = {  # what a page calls a field of the API, by the last part of its name
    "begins": "From",
    "credential": "Passkey",
    "ends": "Until",
    "file": "A new file",
    "form": "The form",
    "key": "Key",
    "kind": "Kind",
    "latitude": "Latitude",
    "longitude": "Longitude",
    "mail": "Your e-mail address",
    "make": "Make",
    "model_year": "Model year",
    "name": "What you call it",
    "plan": "Membership",
    "plate": "Plate",
    "postcode": "Postcode, where it is parked",
    "radius_m": "Radius in metres",
    "reason": "Reason",
    "stars": "Stars",
    "text": "The file",
    "the whole file": "the whole file",
    "time_zone": "Time zone",
    "to": "Your e-mail address",
    "until": "Until",
    "visit_id": "The visit",
    "why": "Why",
    "window_until": "Until",
    "words": "Your words",
}


def said(speech: Speech, text: str) -> str:
    """A refusal in the reader's language, with the field as the page calls it; what nobody has translated, as it is."""
    if speech.language == "en" or not 0 < len(text) <= MAX_CHARACTERS:
        return text
    field, _, remedy = text.partition(": ")
    name = re.sub(r"\[.*?\]", "", field).rpartition(".")[2]
    if remedy and (name in FIELDS or not re.search(r"\s", field)):
        told = said(speech, remedy)
        if told != remedy or name in FIELDS:
            return f"{speech.text(FIELDS[name]) if name in FIELDS else field} : {told}"
    found = _find(speech, text)
    return text if found is None else found


def text_of(speech: Speech, problem: ProblemError) -> str | None:
    """What an app tells its reader of the API's no; None: in English, or where the reasons are worded already."""
    if speech.language == "en" or problem.reasons:
        return None
    if problem.errors:
        return said(speech, problem.errors[0].remedy)
    return said(speech, problem.detail) if problem.detail else speech.text(TROUBLES[problem.trouble][1])


def _find(speech: Speech, text: str) -> str | None:
    """The text as it stands, or as the first pattern that it fits says it."""
    text = text.replace(OR_NULL, "")
    if (told := speech.text(text)) != text:
        return told
    for message, pattern in patterns(speech.language):
        if (found := pattern.fullmatch(text)) is not None:
            values = found.groupdict()
            return speech.text(
                message,
                **{
                    name: said(speech, value) if name in SAID_TOO else value for name, value in values.items()
                },
            )
    return None


@cache
def patterns(language: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The texts that bear values, and what such a text looks like; the one with the most words of its own first."""
    texts = [str(one.id) for one in read_catalogue(language, CATALOGUE)]
    found = [one for one in texts if PLACEHOLDER.search(one)]
    ordered = sorted(found, key=lambda one: (-len(PLACEHOLDER.sub("", one)), one))
    return tuple((one, _compile(one)) for one in ordered)


def _compile(message: str) -> re.Pattern[str]:
    words = PLACEHOLDER.split(message)  # text, name, text, name, ..., text
    parts = (re.escape(part) if at % 2 == 0 else f"(?P<{part}>.+?)" for at, part in enumerate(words))
    return re.compile("".join(parts), re.DOTALL)
