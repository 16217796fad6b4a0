"""What `unlatch verify --json` finds in a proof, told a line per row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

WHO_WIDTH = 13


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a visit's journal, as it was exported."""

    at: datetime
    number: int
    kind: str
    name: str
    who: str
    body: dict[str, Any]

    def __str__(self) -> str:
        part = self.who.partition(":")[0]
        who = self.who if part == "cloud" else part
        told = [self.name, *self._list_details()]
        return f"{self.at:%H:%M:%S}.{self.at.microsecond // 1000:03d}  {who:<{WHO_WIDTH}} {'; '.join(told)}"

    def _list_details(self) -> list[str]:
        """What the row says beside its name, the state last."""
        body = self.body
        details = [f"label {body['label']}"] if "label" in body else []
        if "checks" in body:
            failed = body.get("reasons") or []
            details.append(f"{body['checks']} checks" + (f", not met: {', '.join(failed)}" if failed else ""))
        if "observed_at" in body:
            details.append(f"observed at {body['observed_at'][11:23]}")
        if self.name in ("lock_failed", "unlock_rejected", "unlock_unknown") and "code" in body:
            details.append(str(body["code"]))
        if "incident" in body:
            details.append(f"incident {body['incident']}")
        if body.get("orders"):
            details.append(f"orders {', '.join(body['orders'])}")
        if "tail" in body and body["tail"] != "watching":
            details.append(f"watch {body['tail']}")
        if "state" in body:
            details.append(f"now {body['state']}")
        return details


class File(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one file."""

    is_good: bool
    entries: int
    timeline: list[Row]


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on all of them."""

    files: list[File]
