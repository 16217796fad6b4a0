"""The manual lists the endpoints and problems that there are, and its example runs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
from tests.web.conftest import PARCEL, new_access_point
from tests.web.test_streaming import served

from unlatch.flow.enrolment import admit_carrier
from unlatch.flow.platform import Platform
from unlatch.web.reference import list_endpoints, list_problems

MANUAL = Path(__file__).parents[2] / "docs" / "reference" / "api.md"
__all__ = ["served"]  # a fixture, found by its name


def test_the_manual_lists_every_endpoint_and_problem() -> None:
    text = MANUAL.read_text(encoding="utf-8")
    for table in (list_endpoints(), list_problems()):
        assert table in text, f"put this table into {MANUAL.name}:\n\n{table}"


async def test_the_manual_s_example_books_and_scans(served: tuple[Platform, httpx.AsyncClient]) -> None:
    platform, client = served
    found = re.search(r"```python\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    names["SERVER"] = str(client.base_url).rstrip("/")
    carrier = await admit_carrier(platform, "Parcel Post")
    place = {key: value for key, value in new_access_point("").items() if key != "consignee_id"}
    shipment = {"reference": "7", "parcels": [{"label": {"text": PARCEL}}]}
    window = {"window_from": "2099-11-23T10:00:00Z", "window_until": "2099-11-23T12:00:00Z"}
    stop_id, code = await asyncio.to_thread(
        names["book"], carrier.key, {"name": "Ada"}, place, shipment, {**window, "fallback": "depot"}
    )
    phone = await asyncio.to_thread(names["Phone"], code)
    visit = await asyncio.to_thread(
        phone.post, f"/v1/courier/stops/{stop_id}/scan", {"label": {"text": PARCEL}}
    )
    assert visit["state"] == "refused"
    assert visit["next_step_text"]
