"""The manual is part of the product: no page is stale, no link is dead, no name in it is made up."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import shlex
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.household_pages import draw_claims, draw_household
from tests.pictures import choose_story, draw_picture
from tests.reference_pages import PAGES as TABLES_OF_PAGES
from tests.reference_pages import REFERENCE

import unlatch
from unlatch.devices.catalogue import find_makers
from unlatch.domain.incident import Incident, NextStep
from unlatch.domain.proof import FORMAT, Hidden, Kind
from unlatch.domain.visit import State
from unlatch.main import COMMANDS, build_parser
from unlatch.settings import CLOUD_PREFIX, describe_settings
from unlatch.web.app import TABLES

PAGES = {**TABLES_OF_PAGES, "household.md": draw_household, "claims.md": draw_claims}
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RENEW = "PYTHONPATH=src:. python -m tests.test_docs"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# Words of the glossary that have no class of their own: a row, a habit, a folder, or the whole of it.
WITHOUT_CLASS = {
    "Check", "Closure key", "Deadline", "Epoch", "Fresh", "Journal", "Label key", "Mutant",
    "Patience", "Pre-flight", "Proof of delivery", "Proof of possession", "Read budget", "Ruled out",
    "Seen locked", "Take-over", "Watch", "Witness", "fence",
}  # fmt: skip


def list_files(*suffixes: str) -> list[Path]:
    """What is committed or about to be; in an unpacked release, what is there."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    names = [name for name in listing.stdout.decode().split("\0") if name]
    found = [ROOT / name for name in names] or [path for path in ROOT.rglob("*") if ".venv" not in path.parts]
    return [path for path in found if path.is_file() and (not suffixes or path.suffix in suffixes)]


PAGES_OF_ALL = list_files(".md")
MANUAL = [
    path for path in PAGES_OF_ALL if DOCS / "plans" not in path.parents
]  # plans name what is not there yet


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def links(path: Path) -> list[str]:
    """Where the prose of a page leads, within this repository."""
    found = [first or second for first, second in LINK.findall(FENCE.sub("", read(path)))]
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(path: Path) -> set[str]:
    """The headings of a page, as a link names them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", read(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_a_written_page_is_current(name: str) -> None:
    assert read(REFERENCE / name) == PAGES[name](), f"docs/reference/{name} is stale: run {RENEW}"


def test_every_setting_incident_maker_and_command_is_documented() -> None:
    settings, incidents = read(REFERENCE / "settings.md"), read(REFERENCE / "incidents.md")
    makers, commands = read(REFERENCE / "makers.md"), read(REFERENCE / "commands.md")
    assert [one.variable for one in describe_settings() if f"| `{one.variable}` |" not in settings] == []
    assert [one.value for one in Incident if f"\n### {one}\n" not in incidents] == []
    assert [one.label for one in find_makers().values() if f"\n## {one.label}\n" not in makers] == []
    assert [one.name for one in COMMANDS if f"\n## unlatch {one.name}\n" not in commands] == []


def test_every_incident_says_where_it_is_found_and_what_comes_next() -> None:
    sections = read(REFERENCE / "incidents.md").split("\n### ")[1:]
    assert len(sections) == len(Incident)
    for section in sections:
        assert re.search(r"^Found: \S.*\. Called: \S", section, re.MULTILINE), section
        assert "| next step" in section, section


def test_the_page_of_the_proof_names_what_a_proof_holds() -> None:
    page = read(REFERENCE / "proof.md")
    words = [FORMAT, *Kind, *Hidden]
    assert [word for word in words if f"`{word}`" not in page and f'"{word}"' not in page] == []


@pytest.mark.parametrize("path", PAGES_OF_ALL, ids=shown)
def test_no_link_is_dead(path: Path) -> None:
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{shown(path)} leads to {link}, which is not there"
        assert not anchor or anchor in anchors(target), f"{shown(path)}: {link} has no such heading"


def test_every_page_can_be_reached_from_the_index() -> None:
    index = DOCS / "README.md"
    reached, waiting = {index}, [index]
    while waiting:
        page = waiting.pop()
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        fresh = {target for target in targets if target.suffix == ".md" and target.exists()} - reached
        reached |= fresh
        waiting += fresh
    pages = {path for path in MANUAL if DOCS in path.parents}
    assert {shown(path) for path in pages - reached} == set()


def commands_in(path: Path) -> list[str]:
    """Each call of `unlatch` or of a script that the page shows, in prose or in a block."""
    found = []
    for piece in re.findall(r"`([^`\n]+)`", read(path)) + [
        line for block in FENCE.findall(read(path)) for line in block.splitlines()
    ]:
        text = re.sub(r"^\s*(?:[$#] )?(?:[A-Z_]+=\S+ )*(?:exec )?", "", piece)
        text = re.sub(r"^(?:ExecStart(?:Pre)?=)?(?:\S*/bin/)?", "", text) if "unlatch" in text else text
        if re.match(r"unlatch [a-z]+\b|(?:\./)?scripts/[a-z]+\b", text):
            found.append(text.removeprefix("./"))
    return found


@pytest.mark.parametrize("path", MANUAL, ids=shown)
def test_every_command_that_is_shown_exists(path: Path) -> None:
    names = {command.name for command in COMMANDS}
    for text in commands_in(path):
        words = shlex.split(re.split(r" [|>&]+ |;", text)[0] if '"' not in text else text, comments=True)
        if words[0] == "unlatch":
            assert words[1] in names, f"{shown(path)}: there is no `unlatch {words[1]}`"
            known = build_parser(words[1]).format_help() + _help_of(words[1])
            options = [word.partition("=")[0] for word in words[2:] if word.startswith("--")]
            assert [option for option in options if option not in known] == [], f"{shown(path)}: {text}"
        else:
            assert (ROOT / words[0]).is_file(), f"{shown(path)}: there is no {words[0]}"


def _help_of(command: str) -> str:
    parser = build_parser(command)
    choices = next(action.choices for action in parser._actions if action.dest == "command")
    assert choices is not None
    help_text: str = dict(choices)[command].format_help()
    return help_text


def test_what_the_attacks_have_found_has_its_tests() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", read(REFERENCE / "found.md"))
    assert len(named) > 20
    for path, name in named:
        assert f"def {name}(" in read(ROOT / path), f"{path} has no {name}"


def test_the_readme_shows_the_two_commands() -> None:
    first_words = {text.split()[0] for text in commands_in(ROOT / "README.md")}
    assert {"scripts/demo", "scripts/test"} <= first_words


def test_the_picture_shows_a_whole_story_and_nothing_of_the_machine_it_was_made_on() -> None:
    text = read(DOCS / "pictures" / "demo.svg")
    lines = [node.text or "" for node in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert re.match(r"\([a-g]\) ", lines[0])
    assert lines[-1].startswith("  holds ")
    assert any("unlatch verify" in line for line in lines)
    assert not re.search(r"127\.0\.0\.1|localhost|/tmp|/home", text)
    assert draw_picture(lines) == text, "made by another scripts/pictures: run it again"
    assert "&lt;b&gt; &amp;" in draw_picture(["<b> &"])


def test_of_what_the_demo_says_one_story_is_taken() -> None:
    said = [
        "  0.1 s  starting\n",
        "\n",
        "(b) A title\n",
        "  holds   it\n",
        "\n",
        "In the end\n",
        "  API  x\n",
    ]
    assert choose_story(said) == ["(b) A title", "  holds   it"]


@pytest.mark.parametrize("path", MANUAL, ids=shown)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    known = {one.variable for one in describe_settings()} | {"UNLATCH_CLOUD_", "UNLATCH_OAUTH_"}
    for name in set(re.findall(r"\bUNLATCH_[A-Z_]*[A-Z_]", read(path))):
        is_of_maker = any(
            name in (f"{CLOUD_PREFIX}{maker.upper()}", f"UNLATCH_OAUTH_{maker.upper()}_ID",
                     f"UNLATCH_OAUTH_{maker.upper()}_SECRET", "UNLATCH_OAUTH_")
            for maker in find_makers()
        )  # fmt: skip
        assert name in known or is_of_maker or name == "UNLATCH_", f"{shown(path)}: {name} is no setting"


@pytest.mark.parametrize("path", MANUAL, ids=shown)
def test_every_endpoint_that_is_named_exists(path: Path) -> None:
    known = {
        (endpoint.method, re.sub(r"\{.*?\}", "*", endpoint.path))
        for table in TABLES
        for endpoint in table.endpoints
    }
    for method, address in re.findall(r"\b(GET|POST|PUT|DELETE) (/v1/[\w/{}.$\"-]*\w\}?)", read(path)):
        if address.startswith(("/v1/docs", "/v1/openapi.json")):
            continue
        wild = re.sub(r"\{.*?\}", "*", address)
        assert (method, wild) in known, f"{shown(path)}: there is no {method} {address}"


def list_classes() -> set[str]:
    """Every class of the package, by name."""
    found = set()
    for info in pkgutil.walk_packages(unlatch.__path__, "unlatch."):
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            found |= {
                name
                for name, kind in vars(module).items()
                if inspect.isclass(kind) and kind.__module__ == module.__name__
            }
    return found


def test_a_word_of_the_glossary_is_a_class_or_is_known_to_have_none() -> None:
    classes = {_pieces(name) for name in list_classes()}
    heads = re.findall(r"^\*\*([^*]+)\*\*", read(ROOT / "GLOSSARY.md"), re.MULTILINE)
    assert len(heads) > 40
    words = [word.strip() for head in heads for word in head.split(",")]
    without = {word for word in words if _is_nowhere(word, classes)}
    assert without == WITHOUT_CLASS & set(words), "name it as the code does, or add it to WITHOUT_CLASS"


def _pieces(name: str) -> str:
    """`GateView` -> " gate view "."""
    return " " + " ".join(re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)).lower() + " "


def _is_nowhere(word: str, classes: set[str]) -> bool:
    return not any(f" {word.lower().replace('-', ' ')} " in name for name in classes)


def test_names_in_backticks_of_the_references_are_names_of_ours() -> None:
    """What looks like an incident, a state or a next step is one: a renamed one is found here."""
    page = read(REFERENCE / "incidents.md")
    words = {*Incident, *State, *NextStep}
    named = re.findall(r"`((?:courier|consignee|device|carrier|platform)_[a-z_]+)`", page)
    facts_and_states = set(re.findall(r"`([a-z_]+)`", read(REFERENCE / "visit.md")))
    assert {name for name in named if name not in words and name not in facts_and_states} == set()


REGISTRIES = (
    ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com"),
    ("crates", "io"), ("rubygems", "org"), ("proxy", "golang", "org"), ("deb", "debian", "org"),
    ("conda", "anaconda", "org"), ("docker", "io"), ("ghcr", "io"), ("huggingface", "co"),
)  # fmt: skip
OF_THIS_MACHINE = re.compile(r"(?<![\w$.}~%-])/(?:(?:home|root|work)/[A-Za-z.]|tmp/(?!unlatch)[A-Za-z.])")


def test_no_file_names_a_registry_or_a_path_of_this_machine() -> None:
    hosts = re.compile("|".join(re.escape(".".join(parts)) for parts in REGISTRIES))
    found = []
    for path in list_files():
        content = path.read_bytes()
        if b"\0" in content[:8000]:
            continue
        text = content.decode(errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            is_ours = "vendor" not in path.parts  # what others wrote speaks of paths of its own
            if hosts.search(line) or (is_ours and OF_THIS_MACHINE.search(line)):
                found.append(f"{shown(path)}:{number}: {line.strip()[:120]}")
    assert found == []


if __name__ == "__main__":
    for name, draw in PAGES.items():
        (REFERENCE / name).write_text(draw(), encoding="utf-8")
