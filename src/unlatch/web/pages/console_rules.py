"""The rules on the console: which are in force, and an edit that is checked, tried and taken into use.

The files can be larger than a body of the API, so these pages work with `flow/rule_editing.py` themselves.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from litestar import Response

from unlatch.domain.eligibility_wording import reason_text
from unlatch.errors import BadInput
from unlatch.flow import rule_editing
from unlatch.flow.rule_editing import Trial
from unlatch.flow.rule_files import COVERAGE, SHIPPED
from unlatch.store import rule_edits
from unlatch.web.pages.console import OPERATOR, spoken_of
from unlatch.web.pages.page import Page, Seen, go_to, render
from unlatch.web.pages.refusals import said

EDITS_SHOWN = 20
MAX_EDIT_BYTES = 4 * 1024 * 1024  # of the form; three bytes for one in the worst case
LINES_SHOWN = 400


async def show_rules(seen: Seen) -> Response[Any]:
    """Which rules are in force, their files, and who changed them."""
    rules = await seen.platform.rules.get()
    async with seen.platform.database.connection() as connection:
        edits = await rule_edits.list_edits(connection, limit=EDITS_SHOWN)
    return render(
        seen,
        "console/rules.html",
        version=rules.version,
        trouble=seen.platform.rules.trouble,
        is_shipped=seen.platform.rules.folder == SHIPPED,
        files=sorted(rule_editing.list_files(seen.platform).items()),
        programmes=sorted(rules.programmes.values(), key=lambda one: one.name),
        edits=[(one, list(compare(one.before or "", one.after))) for one in edits],
    )


def compare(before: str, after: str) -> Iterable[tuple[str, str]]:
    """The lines that differ, with three around them: a sign and the line."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3)
    for number, line in enumerate(lines):
        if number >= LINES_SHOWN:
            yield " ", "…"
            return
        if not line.startswith(("---", "+++")):
            yield line[:1] or " ", line[1:]


async def show_file(seen: Seen) -> Response[Any]:
    """One file, to be edited."""
    name = seen.request.query_params.get("file", "")[:100]
    text, version = rule_editing.read_file(seen.platform, name)
    return _show_edit(seen, file=name, text=text, version=version)


def _show_edit(
    seen: Seen,
    *,
    file: str,
    text: str,
    version: str,
    trial: Trial | None = None,
    wrong: str = "",
    kept: str = "",
) -> Response[Any]:
    return render(
        seen,
        "console/rule_file.html",
        status=400 if wrong else 200,
        file=file,
        text=text,
        version=version,
        trial=trial,
        wrong=wrong,
        changes=list(compare(kept, text)) if trial is not None else [],
        is_coverage=file.startswith(f"{COVERAGE}/"),
        is_shipped=seen.platform.rules.folder == SHIPPED,
        reason_text=lambda reason: reason_text(reason, spoken_of(seen)),
    )


async def try_edit(seen: Seen) -> Response[Any]:
    """Check the edit, and show whom it would affect. It changes nothing."""
    file, text = seen.form.get("file", ""), seen.form.get("text", "")
    kept, version = rule_editing.read_file(seen.platform, file)
    try:
        async with seen.platform.database.connection() as connection:
            trial = await rule_editing.try_edit(
                seen.platform, connection, file=file, text=text, now=seen.platform.clock.now()
            )
    except BadInput as error:
        return _show_edit(seen, file=file, text=text, version=version, wrong=said(seen.speech, str(error)))
    return _show_edit(seen, file=file, text=text, version=trial.version_before, trial=trial, kept=kept)


async def take_into_use(seen: Seen) -> Response[Any]:
    """It may widen what is opened: shown once more who they are, in a browser that is not new."""
    seen.require_step_up()
    seen.require_settled()
    why = seen.form.get("why", "").strip()[:500]
    if len(why) < 3:
        raise BadInput("why", "say in some words why the rules change")
    async with seen.platform.database.transaction() as connection:
        await rule_editing.take_into_use(
            seen.platform,
            connection,
            file=seen.form.get("file", ""),
            text=seen.form.get("text", ""),
            version=seen.form.get("version", ""),
            why=why,
            operator_id=seen.me.id,
            now=seen.platform.clock.now(),
        )
    return go_to("/console/rules")


PAGES = (
    Page(method="GET", path="/console/rules", show=show_rules, readers=OPERATOR),
    Page(method="GET", path="/console/rules/file", show=show_file, readers=OPERATOR),
    Page(method="POST", path="/console/rules/try", show=try_edit, readers=OPERATOR, max_bytes=MAX_EDIT_BYTES),
    Page(
        method="POST",
        path="/console/rules/use",
        show=take_into_use,
        readers=OPERATOR,
        max_bytes=MAX_EDIT_BYTES,
    ),
)
