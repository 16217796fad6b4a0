"""Every refusal that our sources can raise, read out of them: texts with VALUE where a value is put in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src" / "unlatch"
VALUE = "\0"
RAISED = {  # what makes a refusal, and which of its arguments is the text
    "BadInput": 1, "bad_input": 1, "ProblemError": 1, "AreaWrong": 1, "wrong": 1,
    "Conflict": 0, "_not_signed_in": 0, "NotAllowed": 0, "NotFound": 0, "MakerSilent": 0, "TooOften": 0,
    "LabelUnreadable": 0, "NotDelivered": 0, "SettingsError": 0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Text:
    """One that may be raised. `code`: instead of words, what is run for them, where the walk can't follow."""

    where: str
    words: str = ""
    code: str = ""


def texts_raised() -> list[Text]:
    return [text for path in sorted(SOURCES.rglob("*.py")) for text in texts_of(path)]


def texts_of(path: Path) -> Iterator[Text]:
    where, tree = path.relative_to(SOURCES).as_posix(), ast.parse(path.read_text(encoding="utf-8"))
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    for call in ast.walk(tree):
        at = RAISED.get(_name(call.func)) if isinstance(call, ast.Call) else None
        if isinstance(call, ast.Call) and at is not None and len(call.args) > at:
            inside = [one for one in functions if one.lineno <= call.lineno <= (one.end_lineno or 0)]
            scopes: list[ast.AST] = [max(inside, key=lambda one: one.lineno), tree] if inside else [tree]
            yield from _follow(call.args[at], scopes, functions, where)


def _follow(
    value: ast.expr,
    scopes: list[ast.AST],
    functions: list[ast.FunctionDef | ast.AsyncFunctionDef],
    where: str,
) -> Iterator[Text]:
    def on(more: list[ast.expr]) -> Iterator[Text]:
        for one in more:
            yield from _follow(one, scopes, functions, where)

    if isinstance(value, ast.Await):
        yield from on([value.value])
    elif isinstance(value, ast.IfExp):
        yield from on([value.body, value.orelse])
    elif isinstance(value, ast.Constant):
        if isinstance(value.value, str):
            yield Text(where, value.value)
    elif isinstance(value, ast.JoinedStr):
        yield Text(where, _words(value))
    elif isinstance(value, ast.Call) and _name(value.func) == "say":
        return  # a page's own text: test_pages.py asks for its French
    elif isinstance(value, ast.Name) and (given := _assigned(value.id, scopes)):
        yield from on(given)
    elif isinstance(value, ast.Call) and (called := [f for f in functions if f.name == _name(value.func)]):
        for one in ast.walk(called[0]):
            if isinstance(one, ast.Return) and one.value is not None:
                yield from _follow(one.value, [called[0], scopes[-1]], functions, where)
    else:
        yield Text(where, code=ast.unparse(value))


def _assigned(name: str, scopes: list[ast.AST]) -> list[ast.expr]:
    """What that name is given in the innermost scope that gives it something."""
    for scope in scopes:
        given = [
            one.value
            for one in ast.walk(scope)
            if (isinstance(one, ast.Assign) and any(_name(target) == name for target in one.targets))
            or (isinstance(one, ast.NamedExpr) and one.target.id == name)
        ]
        if given:
            return given
    return []


def _name(of: ast.expr) -> str:
    return of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else ""


def _words(text: ast.JoinedStr) -> str:
    return "".join(str(one.value) if isinstance(one, ast.Constant) else VALUE for one in text.values)
