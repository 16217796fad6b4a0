"""The rules on the console: shown, an edit checked and tried without a change, then written whole and written down."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.web.conftest import Tenant
from tests.web.test_consignee_pages import Browser
from tests.web.test_console_pages import browser

from unlatch.flow import rule_editing
from unlatch.flow.platform import Platform
from unlatch.flow.rule_files import SHIPPED

OPEN = "programmes/open.toml"
__all__ = ["browser"]  # a fixture, found by its name


@pytest.fixture
def rules(platform: Platform, tmp_path: Path) -> Path:
    """A folder of their own, with what the release ships."""
    folder = tmp_path / "rules"
    shutil.copytree(SHIPPED, folder)
    platform.rules.folder = folder
    return folder


def edited(folder: Path, before: str, after: str) -> str:
    text = (folder / OPEN).read_text(encoding="utf-8")
    assert before in text
    return text.replace(before, after)


async def test_the_rules_in_force_are_shown_and_those_of_the_release_are_not_edited(
    browser: Browser, platform: Platform
) -> None:
    page = await browser.read("/console/rules")
    assert (await platform.rules.get()).version in page
    assert "UNLATCH_RULES_DIR" in page
    text = edited(SHIPPED, 'range = "5000 m"', 'range = "4000 m"')
    page = await browser.page("/console/rules/try", file=OPEN, text=text)
    assert "Take it into use" not in page
    version = rule_editing.read_file(platform, OPEN)[1]
    answer = await browser.send("/console/rules/use", file=OPEN, text=text, version=version, why="a test")
    assert answer.status_code == 409
    assert "UNLATCH_RULES_DIR" in answer.text


async def test_an_edit_shows_whom_it_affects_before_it_is_taken_into_use(
    platform: Platform, tenant: Tenant, browser: Browser, rules: Path
) -> None:
    text = edited(rules, 'places = ["car", "home"]', 'places = ["home"]')
    page = await browser.page("/console/rules/try", file=OPEN, text=text)
    assert "1 no longer offered" in page
    assert "1 delivery to come was booked at such a place." in page
    assert tenant.access_point_id in page
    assert (rules / OPEN).read_text(encoding="utf-8") != text  # nothing has changed yet
    version = rule_editing.read_file(platform, OPEN)[1]
    page = await browser.do(
        "/console/rules/use", file=OPEN, text=text.replace("\n", "\r\n"), version=version, why="cars are out"
    )
    assert (rules / OPEN).read_text(encoding="utf-8") == text
    assert "cars are out" in page
    assert [path.name for path in (rules / "programmes").iterdir() if path.name.startswith(".")] == []
    back = edited(rules, 'places = ["home"]', 'places = ["car", "home"]')
    page = await browser.page("/console/rules/try", file=OPEN, text=back)
    assert "1 newly offered" in page
    answer = await browser.send("/console/rules/use", file=OPEN, text=back, version=version, why="back again")
    assert answer.status_code == 409  # tried on what is not in force any more
    assert "changed meanwhile" in answer.text


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        (OPEN, "countries = [", "programmes/open.toml"),
        (OPEN, 'countries = ["us"]', "countries"),
        ("programmes/../../x.toml", "x", "no such page"),
        ("programmes/new.toml", "x = 1", "programmes/new.toml"),
        ("/etc/passwd", "x", "no such page"),
        ("vehicles.toml", "make = 1", "make"),
        ("coverage/launch-2018.geojson", "{}", "coverage/launch-2018.geojson"),
    ],
)
async def test_what_can_not_be_used_is_told_by_file_and_field(
    browser: Browser, rules: Path, file: str, text: str, names: str
) -> None:
    answer = await browser.send("/console/rules/try", file=file, text=text)
    assert answer.status_code in (400, 404), answer.text
    assert names in answer.text
    assert str(rules) not in answer.text


async def test_taking_into_use_asks_once_more_who_it_is_and_why(
    platform: Platform, browser: Browser, rules: Path
) -> None:
    text, version = rule_editing.read_file(platform, OPEN)
    answer = await browser.send("/console/rules/use", file=OPEN, text=text, version=version, why="")
    assert answer.status_code == 400
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE session SET proved_at = proved_at - interval '1 hour'")
    answer = await browser.send("/console/rules/use", file=OPEN, text=text, version=version, why="abc")
    assert answer.headers["location"].startswith("/console/step-up")


async def test_a_folder_that_can_not_be_written_is_told_and_nothing_is_written_down(
    platform: Platform, browser: Browser, rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(rule_editing, "_write", refuse)
    text = edited(rules, 'range = "5000 m"', 'range = "4000 m"')
    version = rule_editing.read_file(platform, OPEN)[1]
    answer = await browser.send("/console/rules/use", file=OPEN, text=text, version=version, why="abc")
    assert answer.status_code == 409
    assert "Permission denied" in answer.text
    assert "4000 m" not in await browser.read("/console/rules")


async def test_an_edit_larger_than_other_forms_is_taken(browser: Browser, rules: Path) -> None:
    text = (rules / "coverage" / "launch-2018.geojson").read_text(encoding="utf-8")
    assert len(text) > 64 * 1024
    page = await browser.page("/console/rules/try", file="coverage/launch-2018.geojson", text=text)
    assert "0 no longer offered" in page
