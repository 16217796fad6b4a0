"""Pages of the manual that are written from the running tables, so that they can't differ from them.

Pure: each function gives the whole text of one page. `tests/test_docs.py` fails when a page is stale, and
`PYTHONPATH=src:. python -m tests.test_docs` writes them anew.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import datetime
from pathlib import Path

from unlatch.clock import Clock
from unlatch.devices.base import Car, Example, Maker
from unlatch.devices.catalogue import Catalogue
from unlatch.domain.access import Assurance
from unlatch.domain.incident import (
    NEXT_STEPS,
    NEXT_STEPS_AFTER_REFUSAL,
    Incident,
    NextStep,
    incident_of,
    incident_of_tail,
)
from unlatch.domain.visit import ORDERS, TAIL_ORDERS, TRANSITIONS, Order, State, Tail, Turn
from unlatch.domain.wording import Language, Reader, text_of
from unlatch.main import COMMANDS, Command
from unlatch.settings import Settings

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
NOTE = (
    "<!-- Written by tests/reference_pages.py from {source}. To renew it, run\n"
    "     PYTHONPATH=src:. python -m tests.test_docs -->"
)
ENGLISH, FRENCH = Language.ENGLISH, Language.FRENCH
CULPRITS = {
    "courier": "The courier, or the courier's phone",
    "consignee": "The consignee, or their car",
    "device": "The car, the lock, or its maker's cloud",
    "carrier": "The carrier's booking",
    "platform": "Unlatch itself, or who runs it",
}
CALLS = {Order.CALL_OPERATOR: "operator", Order.CALL_CONSIGNEE: "consignee"}
BY_FENCE = Incident.PLATFORM_RESTORED


def draw_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; a bar within a cell is escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def draw_page(title: str, source: str, *parts: str) -> str:
    head = f"# {title}\n\n{NOTE.format(source=source)}"
    return "\n\n".join((head, *(part.strip() for part in parts))) + "\n"


# ---- settings


def draw_settings() -> str:
    """Every setting with its default and its meaning."""
    rows = []
    for each in fields(Settings):
        meaning, _, default = each.metadata["meaning"].partition(" Default: ")
        if not default and each.default is not MISSING and each.default not in (None, ()):
            default = f"`{each.default.isoformat() if isinstance(each.default, datetime) else each.default}`"
        rows.append((f"`{each.metadata['variable']}`", meaning.removesuffix("."), default or "none"))
    return draw_page(
        "Settings",
        "settings.py",
        "Unlatch reads its settings from the environment, once, when a process starts. There is no file of settings. "
        "An empty variable counts as one that is not given. A variable that begins with `UNLATCH_` and is no setting "
        "is refused, since a typing error would otherwise go unnoticed.",
        "All processes of one installation must be given the same values, but for `UNLATCH_HTTP_HOST`, "
        "`UNLATCH_HTTP_PORT` and `UNLATCH_LOG_LEVEL`. On several machines the data folder may differ too, if the "
        "database and the key are given by settings.",
        draw_table(("variable", "what it is", "default"), rows),
        "What is secret (`UNLATCH_DATABASE_URL`, `UNLATCH_SECRET_KEY`, `UNLATCH_SECRET_KEY_OLD`) is left out of every "
        "log. How to change the key: [rotate keys](../howto/rotate-keys.md).",
    )


# ---- incidents


def read_checks() -> Mapping[str, list[str]]:
    """Incident -> the checks of the decision that name it, as the page of the decision has them."""
    found: dict[str, list[str]] = {}
    page = (REFERENCE / "decision.md").read_text(encoding="utf-8")
    for check, names in re.findall(r"^\| ([a-z' ]+) \| ((?:`[a-z_]+`(?:, )?)+) \|$", page, re.MULTILINE):
        for name in re.findall(r"`([a-z_]+)`", names):
            found.setdefault(name, []).append(check)
    return found


def _turns(incident: Incident) -> Mapping[State | None, Mapping[str, list[str]]]:
    """Where the protocol names this incident: the state it leads to (None: as the parcel is), fact, states."""
    found: dict[State | None, dict[str, list[str]]] = {}
    for state, facts in TRANSITIONS.items():
        for fact, target in facts.items():
            if target is not Turn.STAY and incident_of(state, fact) is incident:
                place = target if isinstance(target, State) else None
                found.setdefault(place, {}).setdefault(fact.value, []).append(state.value)
    return found


def _found(incident: Incident, checks: Mapping[str, list[str]]) -> str:
    parts = []
    if incident in checks:
        parts.append("at the scan, by the check *" + "*, *".join(checks[incident]) + "*")
    for target, facts in _turns(incident).items():
        leads_to = "leads on as the parcel's whereabouts say" if target is None else f"leads to `{target}`"
        parts += [f"`{fact}` in {_names(states)} {leads_to}" for fact, states in facts.items()]
    parts += [f"after the visit's end, the tail becomes `{tail}`" for tail in _tails(incident)]
    if incident is BY_FENCE:
        parts.append("`unlatch fence raise`, for each visit before its gate")
    return "; ".join(parts)


def _tails(incident: Incident) -> list[Tail]:
    return [tail for tail in Tail if incident_of_tail(tail) is incident]


def _names(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _called(incident: Incident) -> str:
    entered = {target: ORDERS.get(target, ()) for target in _turns(incident) if target is not None}
    orders: dict[str, tuple[Order, ...]] = {
        f", on entering `{state}`": each for state, each in entered.items()
    }
    for tail in _tails(incident):
        orders[""] = TAIL_ORDERS.get(tail, ())
    if incident is BY_FENCE:
        orders[""] = tuple(CALLS)
    called = [
        " and ".join(who for order, who in CALLS.items() if order in given) + where
        for where, given in orders.items()
        if set(given) & set(CALLS)
    ]
    return "; ".join(called) or "nobody"


def _next_steps(incident: Incident, checks: Mapping[str, list[str]]) -> Mapping[NextStep, list[str]]:
    """What the courier may be told to do next, and in which state."""
    targets = _turns(incident)
    steps: dict[NextStep, list[str]] = {}
    if incident in checks or State.REFUSED in targets or incident is BY_FENCE:
        steps[NEXT_STEPS_AFTER_REFUSAL.get(incident, NextStep.TAKE_FALLBACK)] = [State.REFUSED]
    for target in targets:
        if target is None:
            steps.setdefault(NEXT_STEPS[State.ACCOUNTING], []).append(State.ACCOUNTING)
        elif target is not State.REFUSED:
            steps.setdefault(NEXT_STEPS[target], []).append(target)
    return steps


def _incident(incident: Incident, checks: Mapping[str, list[str]]) -> str:
    steps = _next_steps(incident, checks)
    rows = [
        (
            f"{reader} reads",
            text_of(incident, reader, ENGLISH),
            text_of(incident, reader, FRENCH),
        )
        for reader in Reader
    ]
    rows += [
        (
            f"next step in {_names(states)}",
            text_of(step, Reader.COURIER, ENGLISH),
            text_of(step, Reader.COURIER, FRENCH),
        )
        for step, states in steps.items()
    ]
    if not steps:
        rows.append(("next step", "None: the courier has gone on.", "Aucune : le livreur est reparti."))
    return "\n\n".join(
        (
            f"### {incident}",
            f"Found: {_found(incident, checks)}. Called: {_called(incident)}.",
            draw_table(("", "English", "français"), rows),
        )
    )


def draw_incidents() -> str:
    """Every incident: where it is found, who is called, what each reader reads, the courier's next step."""
    checks = read_checks()
    parts = []
    for culprit, who in CULPRITS.items():
        parts.append(f"## {who}")
        parts += [_incident(each, checks) for each in Incident if each.split("_")[0] == culprit]
    return draw_page(
        "Incidents",
        "domain/incident.py, domain/wording_en.py and domain/wording_fr.py",
        "What can go wrong. The culprit stands in front of the name. The texts are those that people read; the "
        "operator's says what it means. *Called* means that a person is asked to look now; everyone entitled reads "
        "the incident in the visit's timeline in any case.",
        "What can change between the scan and the unlock is asked again at the gate and bears the same name there: "
        "blocked, frozen, device revoked, courier not active, cloud in outage, quota used up, another command under "
        "way.",
        "While a visit lives, the courier's next step follows from its state; after a refusal, from the incident. "
        "Where an incident can lead to several states, each next step is listed. The states are those of "
        "[the visit](visit.md), the checks those of [the decision](decision.md).",
        *parts,
    )


# ---- makers


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _seconds(value: float | None) -> str:
    return "no" if value is None else f"{value:g} s"


# How well *locked* can be shown.
_ASSURANCES = {
    Assurance.SEEN: "seen",
    Assurance.LID_ALONE: "drawn from a lid that is seen closed",
    Assurance.BOLT_ALONE: "seen of the bolt alone: it may be thrown while the door stands open",
    Assurance.SAID: "said: visits end as *lock not seen*",
}
_DOORS = {
    "lock and contact sensor": ("lock.x", {"contact": "binary_sensor.x"}),
    "lock alone": ("lock.x", {}),
    "cover": ("cover.x", {}),
}


def _cars(maker: Maker) -> dict[str, Car]:
    """One of each kind that this maker may reach, by what the page calls it."""
    if maker.has_own_hub:
        return {
            told: Car(maker=maker.name, vin=name, secrets=secrets) for told, (name, secrets) in _DOORS.items()
        }
    return {
        f"`{kind}`" if kind else "all": Car(maker=maker.name, vin="", secrets={}, account_kind=kind)
        for kind in maker.account_kinds or (None,)
    }


def _closures(maker: Maker) -> str:
    rows = []
    for told, car in _cars(maker).items():
        closure = maker.closure(car)
        rows.append(
            (
                told,
                _yes(closure.reads_lock),
                _yes(closure.reads_lid),
                _ASSURANCES[closure.assurance],
                _seconds(closure.locks_itself_after_s),
                _seconds(closure.late_effect_s),
                _seconds(closure.read_every_s),
            )
        )
    head = (
        "door" if maker.has_own_hub else "account", "reads the lock", "reads the lid", "*locked* is",
        "relocks itself unopened after", "a command can act for", "read at most every",
    )  # fmt: skip
    return draw_table(head, rows)


def _example(example: Example) -> tuple[str, ...]:
    end = example.end.value if example.code is None else f"{example.end.value}: `{example.code}`"
    return (example.title, example.verb.value, example.account_kind or "", end, example.source)


def _maker(maker: Maker) -> str:
    summary, _, facts = inspect.cleandoc(inspect.getmodule(type(maker)).__doc__ or "").partition("\n")
    can_flash = type(maker).flash is not Maker.flash
    limit = maker.commands_a_minute
    rows = [
        ("name in settings and rows", f"`{maker.name}`"),
        ("address", _address(maker)),
        ("a link needs", _fields(maker, is_required=True)),
        ("a link may have", _fields(maker, is_required=False) or "nothing else"),
        ("account kinds", _names(maker.account_kinds) or "one alone"),
        ("commands a minute, per car", "no limit is known" if limit is None else str(limit)),
        ("can flash its lamps", _yes(can_flash)),
    ]
    return "\n\n".join(
        (
            f"## {maker.label}",
            summary,
            draw_table(("", ""), rows),
            "What its closure can tell, and how long a command whose end is unknown keeps the place watched:",
            _closures(maker),
            "What its file says of its API:",
            facts.strip(),
            "What the cloud says, and what it means. Each line is a test:",
            draw_table(("example", "asked", "account", "end", "source"), map(_example, maker.examples)),
        )
    )


def _address(maker: Maker) -> str:
    if maker.has_own_hub:
        return "each place's own: the field `address` of its link"
    return f"`{maker.default_address}`, or what `UNLATCH_CLOUD_{maker.name.upper()}` says"


def _fields(maker: Maker, *, is_required: bool) -> str:
    first = ["an entity in place of a VIN" if maker.name_pattern else "`vin`"] if is_required else []
    fields = [field for field in maker.form_fields if field.is_required is is_required]
    return ", ".join([*first, *(f"`{field.name}`" for field in fields)])


def draw_makers() -> str:
    """Every maker: what its cars can tell, its limits, what is assumed."""
    makers = Catalogue(Clock()).makers
    return draw_page(
        "Makers",
        "the files in devices/makers/",
        "**No maker's live cloud has been tried.** They could not be reached from where this release was made. What "
        "stands here comes from the makers' documentation and from public clients of their APIs, and is marked as "
        "assumed where nobody documents it. The simulated town speaks what stands here.",
        "A command ends in one of four ways: *done* (says the cloud), *rejected*, *not_sent* (surely not done, may be "
        "repeated), *unknown* (may have happened: the closure is read, nothing is sent again). To add a maker: "
        "[one file](../howto/add-a-maker.md).",
        draw_table(
            ("maker", "accounts", "locks that can be seen"),
            [
                (
                    f"[{maker.label}](#{maker.label.lower().replace(' ', '-')})",
                    _names(maker.account_kinds) or "one kind",
                    _seen_on(maker),
                )
                for maker in makers.values()
            ],
        ),
        *map(_maker, makers.values()),
    )


def _seen_on(maker: Maker) -> str:
    cars = _cars(maker)
    seen = [told for told, car in cars.items() if maker.closure(car).reads_lock]
    return "all" if len(seen) == len(cars) else ", ".join(seen) or "none"


# ---- commands


def _command(command: Command) -> str:
    parser = argparse.ArgumentParser(prog=f"unlatch {command.name}", add_help=False)
    if command.add_arguments:
        command.add_arguments(parser)
    words, rows = [f"unlatch {command.name}"], []
    for action in parser._actions:
        shown = _shown(action)
        words.append(shown if action.required else f"[{shown}]")
        default = "" if action.default in (None, False, argparse.SUPPRESS) else f"`{action.default}`"
        rows.append((f"`{shown}`", action.help or "", default))
    text = inspect.cleandoc(command.run.__doc__ or "")
    parts = [f"## unlatch {command.name}", f"```\n{' '.join(words)}\n```", f"{command.summary[0].upper()}"]
    parts[-1] += f"{command.summary[1:]}. {text}"
    if rows:
        parts.append(draw_table(("argument", "what it is", "default"), rows))
    return "\n\n".join(parts)


def _shown(action: argparse.Action) -> str:
    if action.choices is not None:
        value = "|".join(map(str, action.choices))
    else:
        value = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return f"{value}..." if action.nargs == "+" else value
    return action.option_strings[-1] + ("" if action.nargs == 0 else f" {value}")


def draw_commands() -> str:
    """Every command of the command line, with its arguments."""
    return draw_page(
        "Commands",
        "the table of commands in main.py",
        "`unlatch --version` says which release this is; `unlatch COMMAND --help` says what a command takes. All but "
        "`verify` and `check-protocol` read their [settings](settings.md) from the environment.",
        "Exit codes: 0 it went well; 1 it did not, and one line on standard error says why; 2 the words were wrong, or "
        "`verify` could not read a file; 130 it was interrupted.",
        *map(_command, COMMANDS),
    )


PAGES = {
    "settings.md": draw_settings,
    "incidents.md": draw_incidents,
    "makers.md": draw_makers,
    "commands.md": draw_commands,
}
