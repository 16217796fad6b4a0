"""Every note of a journal is worded for each reader in both languages."""

from __future__ import annotations

import re
from itertools import product

from tests.domain.test_wording import claims_locked

from unlatch.domain.note import NOTE_TEXTS, Note, note_text
from unlatch.domain.wording import Language, Reader
from unlatch.flow.chaining import NAMES


def test_every_note_has_its_texts_and_a_name_that_is_none_has_no_text() -> None:
    for language in Language:
        assert set(NOTE_TEXTS[language]) == set(Note)
    for note, reader in product(Note, Reader):
        english, french = (
            note_text(note, reader, language) for language in (Language.ENGLISH, Language.FRENCH)
        )
        assert english != french
        for text, language in ((english, Language.ENGLISH), (french, Language.FRENCH)):
            assert text is not None
            assert 10 < len(text) <= 100
            assert text[0].isupper()
            assert not claims_locked(text, language)
        assert not re.search(r"[^\s][:;?!]", french or ""), french
    assert note_text("granted", Reader.COURIER, Language.ENGLISH) is None


def test_what_a_recorder_tells_the_journal_has_a_text() -> None:
    assert set(NAMES.values()) <= set(Note)
