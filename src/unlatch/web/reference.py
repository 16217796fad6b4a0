"""The endpoints and problems as the manual lists them; a test keeps `docs/reference/api.md` so."""

from __future__ import annotations

from unlatch.web.app import TABLES
from unlatch.web.problems import TROUBLES


def list_endpoints() -> str:
    """A table in Markdown, one row for each endpoint."""
    rows = ["| request | for | what |", "|---|---|---|"]
    rows += [
        f"| `{endpoint.method} {endpoint.path}` | {', '.join(sorted(endpoint.readers)) or 'anyone'} "
        f"| {endpoint.summary} |"
        for table in TABLES
        for endpoint in table.endpoints
    ]
    return "\n".join(rows)


def list_problems() -> str:
    """A table in Markdown, one row for each kind of problem."""
    rows = ["| type | status | title |", "|---|---|---|"]
    rows += [f"| `{trouble}` | {status} | {title} |" for trouble, (status, title) in TROUBLES.items()]
    return "\n".join(rows)
