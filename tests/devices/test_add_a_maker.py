"""The page on adding a maker is true: its file, laid into a folder of makers, is all that is needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.devices.trying import check_example

from unlatch.clock import Clock
from unlatch.devices import makers
from unlatch.devices.base import Maker
from unlatch.devices.catalogue import Catalogue, find_makers
from unlatch.errors import NotFound

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "add-a-maker.md"


@pytest.fixture
def lantern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Maker]]:
    """The page's maker in a second folder of makers."""
    text = PAGE.read_text(encoding="utf-8")
    source = text.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "lantern.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(makers, "__path__", [*makers.__path__, str(tmp_path)])
    yield find_makers()["lantern"]
    sys.modules.pop("unlatch.devices.makers.lantern", None)
    vars(makers).pop("lantern", None)


async def test_one_file_adds_a_maker(lantern: type[Maker]) -> None:
    assert set(find_makers()) == {"home_assistant", "lantern", "onstar", "volvo"}
    assert len(lantern.examples) == 6
    for example in lantern.examples:
        await check_example(lantern, example)
    catalogue = Catalogue(Clock(), {"lantern": "http://127.0.0.1:9"})
    assert catalogue.maker("lantern").link.wire.origin == "http://127.0.0.1:9"
    assert catalogue.maker("volvo").link.wire.origin == "https://api.volvocars.com"
    await catalogue.close()


def test_without_the_file_there_is_no_such_maker() -> None:
    assert set(find_makers()) == {"home_assistant", "onstar", "volvo"}
    with pytest.raises(NotFound, match="lantern"):
        Catalogue(Clock(), {"lantern": "http://127.0.0.1:9"})
    with pytest.raises(NotFound, match="lantern"):
        Catalogue(Clock()).maker("lantern")


def test_two_makers_of_one_name_are_refused(lantern: type[Maker], tmp_path: Path) -> None:
    (tmp_path / "twin.py").write_text((tmp_path / "lantern.py").read_text(), encoding="utf-8")
    try:
        with pytest.raises(ValueError, match="lantern"):
            find_makers()
    finally:
        sys.modules.pop("unlatch.devices.makers.twin", None)
