"""No text is missing, none claims *locked* where it was not seen, none shows what must not be shown."""

from __future__ import annotations

import re
from itertools import product

import pytest

from unlatch.domain import wording_en, wording_fr
from unlatch.domain.incident import Incident, NextStep
from unlatch.domain.proof import Kind
from unlatch.domain.visit import Fact, State
from unlatch.domain.wording import Language, Reader, text_of

WORDS = [*Incident, *NextStep, *State, *Fact, *Kind]
TABLES = {"INCIDENTS": Incident, "NEXT_STEPS": NextStep, "STATES": State, "FACTS": Fact, "KINDS": Kind}
SEEN = {Fact.SEEN_LOCKED, Fact.SEEN_LOCKED_FOR_GOOD, State.DELIVERED, Incident.DEVICE_RELOCKED_UNOPENED}
WEAK_ENDS = [State.DELIVERED_LOCK_NOT_SEEN, State.UNDELIVERED_LOCK_NOT_SEEN]
CLAIM = {
    Language.ENGLISH: re.compile(r"\b(?:re)?locked\b", re.IGNORECASE),
    Language.FRENCH: re.compile(r"\bverrouillée?s?\b|verrouillage a été constaté", re.IGNORECASE),
}
NO_CLAIM = {  # how a text may speak of it without claiming it
    Language.ENGLISH: re.compile(
        r"not (?:been )?seen locked|says it is locked|(?:being|be) locked|, not locked", re.IGNORECASE
    ),
    Language.FRENCH: re.compile(
        r"indique que c'est verrouillé|non verrouillé|d'être verrouillé", re.IGNORECASE
    ),
}


def claims_locked(text: str, language: Language) -> bool:
    return CLAIM[language].search(NO_CLAIM[language].sub("", text)) is not None


@pytest.mark.parametrize(("language", "table"), [*product(Language, TABLES)])
def test_no_text_is_missing(language: Language, table: str) -> None:
    texts = getattr({Language.ENGLISH: wording_en, Language.FRENCH: wording_fr}[language], table)
    assert set(texts) == set(TABLES[table])


def test_each_text_is_short_and_whole_and_has_no_placeholder() -> None:
    for word, reader, language in product(WORDS, Reader, Language):
        text = text_of(word, reader, language)
        assert 3 < len(text) <= 220, (word, text)
        assert text == text.strip()
        assert text[0].isupper(), text
        assert not set(text) & set("{}%<>_\n\t"), (word, text)
        assert "  " not in text
        if isinstance(word, Incident | NextStep):
            assert text.endswith("."), (word, text)


def test_languages_and_readers_differ() -> None:
    for word, reader in product([*Incident, *NextStep, *State, *Fact], Reader):
        assert text_of(word, reader, Language.ENGLISH) != text_of(word, reader, Language.FRENCH)
    for word, language in product(Incident, Language):
        assert text_of(word, Reader.COURIER, language) != text_of(word, Reader.CONSIGNEE, language) or (
            word is Incident.DEVICE_UNLOCK_FAILED
        )


@pytest.mark.parametrize("language", Language)
def test_locked_is_said_only_where_it_was_seen(language: Language) -> None:
    for word, reader in product(WORDS, Reader):
        text = text_of(word, reader, language)
        assert word in SEEN or not claims_locked(text, language), (word, text)


@pytest.mark.parametrize(
    ("text", "language"),
    [("Delivered and locked", Language.ENGLISH), ("It is locked.", Language.ENGLISH),
     ("It was seen locked.", Language.ENGLISH), ("C'est verrouillé.", Language.FRENCH),
     ("Votre voiture est verrouillée.", Language.FRENCH), ("Le verrouillage a été constaté.", Language.FRENCH)],
)  # fmt: skip
def test_the_search_for_claims_finds_them(text: str, language: Language) -> None:
    assert claims_locked(text, language)


def test_what_was_seen_locked_says_so() -> None:
    for reader in Reader:
        assert claims_locked(text_of(State.DELIVERED, reader, Language.ENGLISH), Language.ENGLISH)
        assert claims_locked(text_of(State.DELIVERED, reader, Language.FRENCH), Language.FRENCH)


@pytest.mark.parametrize(("end", "reader"), [*product(WEAK_ENDS, Reader)])
def test_a_weak_end_names_its_evidence(end: State, reader: Reader) -> None:
    english = text_of(end, reader, Language.ENGLISH)
    assert (
        "the maker's service says it is locked and the courier pulled the handle; the lock itself was not seen"
        in english
    )
    french = text_of(end, reader, Language.FRENCH)
    assert "le service du constructeur indique que" in french
    assert "le verrouillage lui-même n'a pas été constaté" in french


def test_no_text_is_jargon_for_courier_and_consignee() -> None:
    jargon = re.compile(
        r"\b(gate|grant|closure|cloud|token|API|access point|fallback|quota|reading|point d'accès|relevé)\b",
        re.IGNORECASE,
    )
    for word, reader, language in product(
        [*Incident, *State, *NextStep], (Reader.COURIER, Reader.CONSIGNEE), Language
    ):
        text = text_of(word, reader, language)
        assert not jargon.search(text), (word, text)


def test_french_is_set_as_french_is() -> None:
    """A space before the high signs, and never *tu*."""
    for word, reader in product(WORDS, Reader):
        text = text_of(word, reader, Language.FRENCH)
        assert not re.search(r"\S[:;?!]", text), text
        assert not re.search(r"\b(tu|ton|ta|tes|toi)\b", text, re.IGNORECASE), text
