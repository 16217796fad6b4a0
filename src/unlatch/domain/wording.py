"""What people read: a text for each word of ours, each reader and each language.

Plain, calm, short; never a plate or a position. *Locked* is said only where it was seen locked (S5): a weaker
end names its evidence instead. The texts stand in `wording_en.py` and `wording_fr.py`; a test keeps both
complete and finds a claim of locked that is not covered. The consignee is "you"; the courier, in their own
texts, is "you" too; the operator reads of both by name of their part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto

from unlatch.domain import wording_en, wording_fr
from unlatch.domain.incident import Incident, NextStep
from unlatch.domain.proof import Kind
from unlatch.domain.visit import Fact, State


class Reader(StrEnum):
    """Who reads; the order is that of the texts in the tables."""

    COURIER = auto()
    CONSIGNEE = auto()
    OPERATOR = auto()


class Language(StrEnum):
    ENGLISH = "en"
    FRENCH = "fr"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    """One language. Three texts: courier, consignee, operator. One text: the same for all."""

    incidents: Mapping[Incident, tuple[str, str, str]]
    states: Mapping[State, tuple[str, str, str]]
    next_steps: Mapping[NextStep, str]
    facts: Mapping[Fact, str]
    kinds: Mapping[Kind, str]


_TEXTS: Mapping[Language, _Texts] = {
    Language.ENGLISH: _Texts(
        incidents=wording_en.INCIDENTS,
        states=wording_en.STATES,
        next_steps=wording_en.NEXT_STEPS,
        facts=wording_en.FACTS,
        kinds=wording_en.KINDS,
    ),
    Language.FRENCH: _Texts(
        incidents=wording_fr.INCIDENTS,
        states=wording_fr.STATES,
        next_steps=wording_fr.NEXT_STEPS,
        facts=wording_fr.FACTS,
        kinds=wording_fr.KINDS,
    ),
}
_READERS = tuple(Reader)


def text_of(word: Incident | NextStep | State | Fact | Kind, reader: Reader, language: Language) -> str:
    """The sentence that `reader` reads for `word`. A next step speaks to the courier, whoever reads it."""
    texts = _TEXTS[language]
    if isinstance(word, Incident):
        return texts.incidents[word][_READERS.index(reader)]
    if isinstance(word, State):
        return texts.states[word][_READERS.index(reader)]
    if isinstance(word, NextStep):
        return texts.next_steps[word]
    if isinstance(word, Fact):
        return texts.facts[word]
    return texts.kinds[word]
