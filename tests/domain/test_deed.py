"""Every deed that is written anywhere can be read, in both languages."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from unlatch.domain.deed import DEED_TEXTS, DOER_TEXTS, Deed, deed_text, doer_text
from unlatch.domain.wording import Language

SOURCE = Path(__file__).parents[2] / "src" / "unlatch"


def test_every_deed_has_its_text_without_its_doer() -> None:
    assert set(DEED_TEXTS) == set(Deed)
    for english, french in (*DEED_TEXTS.values(), *DOER_TEXTS.values()):
        assert english
        assert french
        assert english != french
    for english, french in DEED_TEXTS.values():
        assert english.endswith(".")
        assert french.endswith(".")
    assert deed_text("blocked", Language.FRENCH) == "Ce lieu a été bloqué."
    assert doer_text("carrier", Language.ENGLISH) == "the carrier"
    with pytest.raises(ValueError, match="not a valid Deed"):
        deed_text("nonsense", Language.ENGLISH)


def words_written() -> list[tuple[str, str]]:
    """Each word given as `what` to `insert_deed`, with where: the literal ones, and the members of `Deed`."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called != "insert_deed":
                continue
            what = next((one.value for one in node.keywords if one.arg == "what"), None)
            assert what is not None, f"{path}: a deed without a word"
            place = f"{path.relative_to(SOURCE)}:{node.lineno}"
            found += [
                (place, str(one.value))
                for one in ast.walk(what)
                if isinstance(one, ast.Constant) and isinstance(one.value, str)
            ]
            found += [
                (place, Deed[one.attr].value)
                for one in ast.walk(what)
                if isinstance(one, ast.Attribute) and getattr(one.value, "id", "") == "Deed"
            ]
    return found


def test_every_word_that_the_code_writes_is_a_deed() -> None:
    found = words_written()
    assert "rated" in {word for _, word in found}, "this test finds nothing any more"
    assert [(place, word) for place, word in found if word not in set(Deed)] == []
