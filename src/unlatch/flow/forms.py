"""What a link to a car, a hub or a camera must carry, as its maker's form asks for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from unlatch.errors import BadInput


class Field(Protocol):
    """One thing that a form asks for."""

    @property
    def name(self) -> str: ...

    @property
    def max_length(self) -> int: ...

    @property
    def is_required(self) -> bool: ...

    @property
    def pattern(self) -> str | None: ...

    @property
    def meaning(self) -> str: ...


def check_form(label: str, fields: Iterable[Field], given: Mapping[str, str], *, path: str) -> None:
    """Raises BadInput for the first thing that does not fit; `path`: where the values stand in what was sent."""
    known = {field.name: field for field in fields}
    for name, field in known.items():
        if field.is_required and not given.get(name):
            raise BadInput(f"{path}.{name}", f"{label} needs it")
    for name, value in given.items():
        if name not in known:
            wanted = ", ".join(known)
            raise BadInput(f"{path}.{name}", f"{label} takes only {wanted}")
        field = known[name]
        if len(value) > field.max_length:
            raise BadInput(f"{path}.{name}", f"at most {field.max_length} characters")
        if not (value.isascii() and value.isprintable()):
            raise BadInput(f"{path}.{name}", "give printable ASCII alone")
        if field.pattern is not None and not re.fullmatch(field.pattern, value):
            raise BadInput(f"{path}.{name}", f"must match {field.pattern}")
