"""Every endpoint, asked what its schema allows and what it forbids, by each kind of asker, of things that are there.

    python -m tests.fuzz.endpoints SEED [OPERATION ...]      all of it, or some operations again

The questions are schemathesis', from the OpenAPI document; whose they are, and which things they name, is ours. Never a
fault of ours; every answer as the document has it; what the schema forbids is refused; no grant comes to be.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum, auto
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import httpx
import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.conftest import make_server_dir
from tests.web.asking import ask_raw
from tests.web.conftest import ADDRESS, PUBLIC_URL, Caller, Tenant, make_platform, make_tenant
from tests.web.homes import add_home
from tests.web.people import add_member, deliver, fetch, invite
from tests.web.phone import Phone
from tests.web.test_claims import open_claim
from tests.web.test_visits import save_reading, scan

from unlatch.domain.access import Position
from unlatch.flow.enrolment import admit_operator
from unlatch.flow.platform import Platform
from unlatch.settings import Settings
from unlatch.store.database import Database, connect, use_server
from unlatch.store.embedded import Embedded
from unlatch.store.migrate import migrate
from unlatch.web.app import create_app

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SETTINGS = hypothesis.settings(
    database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
CASES = 240  # of one operation, unless its schema knows fewer
LONGEST_S = 15.0  # of one request: more is a hang
IDENTIFIER = re.compile(r"[a-z]{2,12}_[0-9a-z_]{1,48}")  # as the schema has it
OURS = re.compile(r"\b[a-z]{2,12}_[0-9a-f]{32}\b")  # as they are made
THAW = "UPDATE freeze_ SET thawed_by = 'tests', thawed_at = now() WHERE thawed_at IS NULL RETURNING id"
TABLES = ("visit", "camera", "claim", "invitation")
KINDS: Mapping[str, str] = {
    "shipment": "shp",
    "stop": "stp",
    "claim": "clm",
    "channel": "chn",
    "account": "lnk",
}
FAR = Position(latitude=ADDRESS["latitude"] + 0.1, longitude=ADDRESS["longitude"], accuracy_m=5)
NUMBERS = itertools.count(1)  # of the worlds' cars: one car stands in one world
MOST_KNOWN = 12  # things of one kind that are asked about
MOST_TOLD = 3  # of what one operation broke
load_all_checks()


@dataclass(kw_only=True)
class World:
    """Something of everything, who may ask for it, and what was seen of it in answers."""

    app: Any
    callers: dict[str, Caller]
    ids: dict[str, list[str]] = field(default_factory=dict)  # by the kind, as in vis_...

    def learn(self, text: str) -> None:
        for found in OURS.findall(text):
            known = self.ids.setdefault(found.partition("_")[0], [])
            if found not in known and len(known) < MOST_KNOWN:
                known.append(found)

    def settle(self, lot: random.Random, name: str, value: Any) -> Any:
        """The value with most of its made-up identifiers those of things that are there."""
        match value:
            case dict():
                return {key: self.settle(lot, str(key), one) for key, one in value.items()}
            case list():
                return [self.settle(lot, name, one) for one in value]
            case str() if IDENTIFIER.fullmatch(value) and lot.random() < 0.8:
                return lot.choice(
                    self.ids.get(KINDS.get(name.removesuffix("_id"), name[:3]))
                    or self.ids[lot.choice(list(self.ids))]
                )
        return value


class Stage(StrEnum):
    """How far a delivery has come."""

    OUT_OF_RANGE = auto()  # nothing is wrong with it but where the car stands
    AT_THE_DOOR = auto()  # granted
    CLAIMED = auto()  # delivered, and the box was crushed


async def make_world(platform: Platform, http: httpx.AsyncClient, app: Any, stage: Stage) -> World:
    """A tenant with a household, a delivery, a home and its camera; and an operator."""
    await fetch(platform, THAW)
    tenant: Tenant = await make_tenant(platform, http, vin=f"1G1FY6S00N4{next(NUMBERS):06}")
    admitted = await admit_operator(platform, "Olga")
    await add_member(tenant)
    await invite(tenant.consignee, tenant.access_point_id)
    match stage:
        case Stage.OUT_OF_RANGE:
            await save_reading(platform, tenant.access_point_id, position=FAR)
        case Stage.AT_THE_DOOR:
            await save_reading(platform, tenant.access_point_id)
            assert (await scan(tenant))["state"] == "granted"
        case Stage.CLAIMED:
            await open_claim(tenant.consignee, await deliver(platform, tenant))
    callers = {
        "carrier_key": tenant.carrier,
        "consignee_key": tenant.consignee,
        "operator_key": Caller(http=http, key=admitted.key, id=admitted.id),
        "phone_token": tenant.courier,
        "phone_key": Caller(http=http, phone=Phone()),
    }
    world = World(app=app, callers=callers)
    told = [
        tenant.access_point_id,
        tenant.shipment_id,
        tenant.stop_id,
        tenant.device_id,
        await add_home(tenant),
    ]
    told += [caller.id for caller in callers.values()]
    told += await fetch(platform, " UNION ALL ".join(f"SELECT max(id) FROM {table}" for table in TABLES))
    world.learn(json.dumps(told))
    return world


async def send(
    app: Any, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> httpx.Response:
    """Ask the application directly; the client leaves once it has asked, so that a stream ends."""
    async with asyncio.timeout(LONGEST_S):
        answered = await ask_raw(app, method, path, query, headers, body)
    request = httpx.Request(method, f"{PUBLIC_URL}{path}?{query}")
    answer = httpx.Response(
        answered.status, headers=answered.headers, content=answered.content, request=request
    )
    answer.elapsed = timedelta(0)  # schemathesis wants to know it
    return answer


class Asking:
    """One operation, asked by whoever draws the lot."""

    def __init__(self, world: World, operation: Any, security: list[str], lot: random.Random) -> None:
        self.world = world
        self.operation = operation
        self.raw = operation.definition.raw
        self.security = security
        self.lot = lot
        self.statuses = Counter[str]()
        self.broken: list[str] = []

    async def ask(self, case: schemathesis.Case[Any]) -> None:
        """Ask once, and look at the answer."""
        asker = self._draw_asker()
        method, path, query, headers, body = self._write(case, asker)
        told = f"{method} {path}?{query} by {asker}: {body[:300]!r}"
        try:
            answer = await send(self.world.app, method, path, query, headers, body)
            wrong = self._judge(case, asker, answer)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            self.broken.append(f"{told}: {error!r}")
            return
        self.statuses[str(answer.status_code)] += 1
        self.broken += [f"{told} gave {answer.status_code}: {one}" for one in wrong]
        if answer.is_success:
            self.world.learn(answer.text)

    def _draw_asker(self) -> str:
        turn = self.lot.random()
        own = self.security or list(self.world.callers)
        return self.lot.choice(own if turn < 0.85 else [*self.world.callers, "nobody"])

    def _write(self, case: schemathesis.Case[Any], asker: str) -> tuple[str, str, str, dict[str, str], bytes]:
        settle, lot = self.world.settle, self.lot
        case.path_parameters = settle(lot, "", case.path_parameters)
        case.query = settle(lot, "", case.query)
        case.body = settle(lot, "", case.body)
        given = case.as_transport_kwargs(base_url=PUBLIC_URL)
        path = urlsplit(given["url"]).path
        headers = {name: str(value) for name, value in given["headers"].items()}
        if "Idempotency-Key" in headers and lot.random() < 0.8:
            headers["Idempotency-Key"] = str(uuid4())
        if asker in self.world.callers:
            headers |= self.world.callers[asker].headers(case.method, path)
        body = given.get("data") or b""
        if "json" in given:
            body = json.dumps(given["json"]).encode()
        headers["Content-Length"] = str(len(body))
        return case.method, path, urlencode(given.get("params") or {}, doseq=True), headers, body

    def _judge(self, case: schemathesis.Case[Any], asker: str, answer: httpx.Response) -> list[str]:
        assert case.meta is not None
        spoilt = {where.value for where, one in case.meta.components.items() if one.mode.is_negative}
        status, wrong = answer.status_code, []
        if status in (404, 405) and "path" in spoilt:
            return []  # another address
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            wrong += [f"{one.title}: {one.message[:300]}" for one in group.exceptions]
        if status < 400 and spoilt & {"path", "body"}:  # in a query a null is left out, and a list is a text
            wrong.append(f"taken, and the schema forbids it: {case.meta.phase.data.description}")
        if status < 400 and self.security and asker not in self.security:
            wrong.append("taken from whoever")
        if status >= 400:
            problem = answer.json()["type"].rpartition("#problem-")[2]
            if f"`{problem}`" not in self.raw["responses"].get(str(status), {}).get("description", ""):
                wrong.append(f"the problem {problem} is not documented")
        return wrong

    async def try_all(self, seed: int, count: int) -> None:
        """So many questions: half of what the schema allows, half of what it forbids."""
        loop = asyncio.get_running_loop()

        def try_case(case: schemathesis.Case[Any]) -> None:
            asyncio.run_coroutine_threadsafe(self.ask(case), loop).result()

        def run() -> None:  # in a thread of its own, since hypothesis does not wait for a loop
            for mode in GenerationMode:
                drawn = hypothesis.given(case=self.operation.as_strategy(generation_mode=mode))(try_case)
                with suppress(Unsatisfiable):  # where a schema forbids nothing, nothing forbidden is asked
                    hypothesis.seed(seed)(hypothesis.settings(SETTINGS, max_examples=count // 2)(drawn))()

        await asyncio.to_thread(run)


async def _grants(platform: Platform) -> tuple[set[str], set[str]]:
    """Those that there are, and those that opened something."""
    rows = await fetch(platform, "SELECT id, state FROM grant_")
    return {grant_id for grant_id, _ in rows}, {grant_id for grant_id, state in rows if state == "used"}


async def try_endpoints(
    platform: Platform, seed: int, count: int, *, every: int = 1, only: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Ask each operation (or every so manyth) so often, half of it what its schema forbids, in worlds of its own."""
    statuses, broken, asked = Counter[str](), list[str](), 0
    app = create_app(platform)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        document = (await http.get("/v1/openapi.json")).json()
        securities = {
            f"{method.upper()} {path}": [next(iter(one)) for one in operation.pop("security")]
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }  # taken out, so that no credentials are made up
        found = list(schemathesis.openapi.from_dict(document).get_all_operations())
        operations = [one.ok() for one in found if isinstance(one, Ok)]
        assert len(operations) == len(found) == len(securities)
        for operation in operations[seed % every :: every]:
            name = operation.definition.raw["operationId"]
            if only and name not in only:
                continue
            asked += 1
            for stage in Stage:
                world = await make_world(platform, http, app, stage)
                lot = random.Random(f"{seed}:{name}:{stage}")
                asking = Asking(world, operation, securities[operation.label], lot)
                before = await _grants(platform)
                await asking.try_all(lot.randrange(2**32), count // len(Stage))
                if await _grants(platform) != before:
                    asking.broken.insert(0, "a grant came to be, or was used")
                if not asking.statuses:
                    asking.broken.append("nothing could be asked")
                statuses += asking.statuses
                broken += [
                    f"{seed} {name}, {stage}: {one}" for one in dict.fromkeys(asking.broken[:MOST_TOLD])
                ]
    return {
        "seed": seed,
        "count": statuses.total(),
        "operations": asked,
        "taken_for": dict(sorted(statuses.items())),
        "broken": broken,
    }


def try_endpoints_anew(seed: int, count: int, *only: str) -> dict[str, Any]:
    """The same on a PostgreSQL of its own, from its first start to its end."""
    return asyncio.run(_try_anew(seed, count, only))


async def _try_anew(seed: int, count: int, only: tuple[str, ...]) -> dict[str, Any]:
    folder = make_server_dir()
    try:
        async with use_server(Settings(data_dir=folder)) as dsn:
            async with connect(dsn, name="fuzz") as connection:
                await migrate(connection, tell=lambda _: None)
            database = Database(dsn, name="fuzz")
            await database.open()
            platform = make_platform(database)
            try:
                return await try_endpoints(platform, seed, count, only=only)
            finally:
                await platform.makers.close()
                await database.close()
    finally:
        await asyncio.to_thread(Embedded(folder).remove)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Some operations again, or all."""
    told = try_endpoints_anew(int(sys.argv[1]), CASES, *sys.argv[2:])
    print(json.dumps(told, indent=1))
    return 1 if told["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
