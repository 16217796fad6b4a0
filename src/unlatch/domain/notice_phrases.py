"""What the texts of notices are made of. See `notice_texts.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from unlatch.domain.access import Fallback
from unlatch.domain.notice import NoticeEvent, NoticeReader

Sentence = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A text before its facts are filled in. The last way of saying the subject has no placeholder."""

    subject: Sentence
    body: tuple[Sentence, ...]


def template(subject: Sentence, *body: Sentence) -> Template:
    """A subject and the sentences of a body."""
    return Template(subject, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """All that one language says in notices."""

    texts: Mapping[NoticeEvent, Mapping[NoticeReader, Template]]
    confirmation: Template  # of a new channel; {code}
    trial: Template  # of a channel, whenever its reader wants to see whether it works
    fallback_goes: Mapping[Fallback, tuple[str, str]]  # to the consignee, to others
    fallback_went: Mapping[Fallback, tuple[str, str]]
    claim_states: Mapping[str, str]
    mind_home: str
    keep_home: str
    say_window: Callable[[datetime, datetime], str]  # of local times
    say_moment: Callable[[datetime, bool], str]  # of a local time; to the second?
    say_quoted: Callable[[str], str]


def ways(sentence: Sentence) -> tuple[str, ...]:
    """All ways of saying a sentence."""
    return (sentence,) if isinstance(sentence, str) else sentence
