"""An owner links their car in a running installation, and their tokens outlive a restart of everything."""

from __future__ import annotations

import html
import re
from pathlib import Path
from uuid import uuid4

import httpx
from tests.journeys.front import fresh_database, open_front

from unlatch.store.embedded import Embedded

VIN = "YV1RS592XM2000001"


async def test_a_car_is_linked_and_read_through_its_owner_s_account(
    server: Embedded, template_database: str, worker_id: str, tmp_path: Path
) -> None:
    with fresh_database(server, template_database, f"linking_{worker_id}") as url:
        async with (
            open_front(tmp_path, url) as front,
            httpx.AsyncClient(base_url=front.installation.server_url) as http,
        ):
            await front.town.add_car("volvo", VIN, account_id="ada", model="XC60", model_year=2021)
            made = await front.carrier.register_consignee("Ada", "en")
            me = {"authorization": f"Bearer {made.key}"}

            async def post(path: str, body: object) -> dict[str, str]:
                answer = await http.post(path, headers={**me, "idempotency-key": str(uuid4())}, json=body)
                assert answer.is_success, answer.text
                told: dict[str, str] = answer.json()
                return told

            begun = await post("/v1/me/accounts", {"maker": "volvo"})
            page = await http.get(await front.town.approve(begun["authorize_url"], "ada"))
            link = re.search(r'href="([^"]+)"', page.text)
            assert link is not None, page.text
            done = await http.get(f"/v1/links/callback{html.unescape(link[1])}")
            assert '<main id="linked">' in done.text
            await front.installation.restart_server()
            (account,) = (await http.get("/v1/me/accounts", headers=me)).json()["accounts"]
            place = await post(
                "/v1/me/access_points",
                {
                    "account_id": account["id"],
                    "vin": VIN,
                    "address": {"latitude": 33.749, "longitude": -84.388},
                    "time_zone": "America/New_York",
                    "name": "at home",
                    "plate": "ABC 123",
                },
            )
            assert place["id"].startswith("acc_")
