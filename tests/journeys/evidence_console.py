"""The console with 200 visits that move twice a second, in a real browser: does it lag, and how late is the screen?

    scripts/evidence_console [OUT.json]     figures to var/evidence-console.json

`late_ms`: from the commit of a visit's new state to the screen that shows it. `busy`: the share of the time that the
page's thread was in tasks of over 50 ms. `server_ms`: what the console's page takes to be answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright
from tests.conftest import make_server_dir
from tests.journeys.evidence_pages import sign_in
from tests.journeys.front import Front, open_front
from tests.journeys.screens import BARE, CHROMIUM

from unlatch.settings import PREFIX, Settings
from unlatch.store.database import connect, use_server
from unlatch.store.embedded import Embedded
from unlatch.store.migrate import migrate

VISITS, UPDATES_A_SECOND, LASTS_S = 200, 2, 20
# Copies of one visit with all that hangs on it; nobody works on them: they have no deadline.
COPY = """
    INSERT INTO {table} SELECT (jsonb_populate_record(one, jsonb_strip_nulls(jsonb_build_object(
        'id', CASE WHEN '{table}' <> 'vehicle' THEN '{prefix}' || number END)) || {more})).*
    FROM {table} one, generate_series(1, {visits}) number WHERE one.{key} = %s
"""
WATCH = """
() => {
  window.seen = []; window.busy_ms = 0; window.began = performance.now();
  new PerformanceObserver((list) => { for (const one of list.getEntries()) window.busy_ms += one.duration; })
    .observe({ entryTypes: ["longtask"] });
  const look = () => {
    const link = document.querySelector('a[href$="/vis_copy1"]');
    const now = link?.textContent.trim();
    if (now && now !== window.seen.at(-1)?.[1]) window.seen.push([Date.now(), now]);
  };
  new MutationObserver(look).observe(document.getElementById("live"), { childList: true, subtree: true });
}
"""


async def fill(front: Front, visit_id: str) -> None:
    """So many visits under way, each with a courier and a place of its own."""
    async with front.database.transaction() as connection:
        cursor = await connection.execute(
            "SELECT access_point_id, courier_id FROM visit WHERE id = %s", (visit_id,)
        )
        row = await cursor.fetchone()
        assert row is not None
        place_id, courier_id = row
        hangs_on = (
            "jsonb_build_object('access_point_id', 'acc_copy' || number, 'courier_id', 'cou_copy' || number)"
        )
        free = '\'{"deadline_at": null, "next_read_at": null, "closure_key": null, "ended_at": null}\'::jsonb'
        steps: tuple[tuple[str, str, str, str, str], ...] = (
            ("courier", "cou_copy", "id", courier_id, "'{}'::jsonb"),
            ("access_point", "acc_copy", "id", place_id, "'{}'::jsonb"),
            ("vehicle", "", "access_point_id", place_id,
             "jsonb_build_object('access_point_id', 'acc_copy' || number, 'closure_key', null)"),
            ("visit", "vis_copy", "id", visit_id, f"{hangs_on} || {free} || '{{\"state\": \"open\"}}'::jsonb"),
        )  # fmt: skip
        for table, prefix, key, given, more in steps:
            query = COPY.format(table=table, prefix=prefix, key=key, more=more, visits=VISITS)
            await connection.execute(query.encode(), (given,))


async def move(front: Front, page: Page) -> list[tuple[int, str]]:
    """Each visit moves, twice a second; when which state of the first was committed."""
    told: list[tuple[int, str]] = []
    for number in range(LASTS_S * UPDATES_A_SECOND):
        state = ("open", "closed")[number % 2]
        async with front.database.connection() as connection:
            await connection.execute("UPDATE visit SET state = %s WHERE id LIKE 'vis_copy%%'", (state,))
        told.append((int(time.time() * 1000), state))
        await asyncio.sleep(1 / UPDATES_A_SECOND)
    return told


async def measure(front: Front) -> dict[str, Any]:
    """The figures."""
    async with front.open_door("onstar") as door, async_playwright() as playwright:
        await door.scan()
        await fill(front, door.visit_id)
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(BARE))
        page = await (await browser.new_context(viewport={"width": 1440, "height": 900})).new_page()
        url = front.installation.server_url
        await sign_in(page, url, front.operator.key)
        await page.goto(f"{url}/console")
        rows = await page.locator("tbody tr").count()
        await page.evaluate(WATCH)
        told = await move(front, page)
        seen, busy_ms, span_ms = await page.evaluate(
            "() => [window.seen, window.busy_ms, performance.now() - window.began]"
        )
        server_ms, weight = [], 0
        for _ in range(30):
            begun_s = time.perf_counter()
            answer = await page.request.get(f"{url}/console")
            weight = len(await answer.body())
            server_ms.append((time.perf_counter() - begun_s) * 1000)
        await browser.close()
    committed = [at for at, _ in told]
    late = sorted(min(at - one for one in committed if one <= at) for at, _ in seen[1:] if at >= committed[0])
    return {
        "rows": rows,
        "moves": len(told),
        "seen": len(seen) - 1,
        "late_ms": {"p50": statistics.median(late), "max": late[-1]} if late else None,
        "busy": round(busy_ms / span_ms, 3),
        "server_ms": {"p50": round(statistics.median(server_ms), 1), "p95": round(sorted(server_ms)[-2], 1)},
        "page_kb": round(weight / 1024),
    }


async def run() -> dict[str, Any]:
    """On an installation of its own."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    folder = make_server_dir()
    try:
        async with use_server(Settings(data_dir=folder)) as dsn:
            async with connect(dsn, name="evidence") as connection:
                await migrate(connection, tell=lambda _: None)
            async with open_front(folder, dsn, is_database_own=True, factor=1.0) as front:
                return await measure(front)
    finally:
        await asyncio.to_thread(Embedded(folder).remove)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """The command line."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "var/evidence-console.json")
    figures = asyncio.run(run())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))
    return 0 if figures["rows"] > VISITS else 1


if __name__ == "__main__":
    sys.exit(main())
