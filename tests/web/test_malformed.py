"""10,000 malformed requests, made from the OpenAPI document by a seed: never a fault of ours, always a problem.

A failure names its seed and the number of its request.
"""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from tests.web.asking import ask_raw
from tests.web.conftest import Caller, Tenant
from tests.web.test_visits import picture_of, save_reading, scan

from unlatch.flow.platform import Platform
from unlatch.web.app import create_app

REQUESTS = 10_000
SEED = 20261122
JUNK_TEXT = (
    "", "\x00", "a\x00b", "\x1f", "\u202e", "é" * 50, "\U0001d518",
    "a" * 5000, "'; DROP TABLE visit; --", "../../etc/passwd",
    "%00", "${jndi:ldap://x}", "<script>", "NaN", "null", "-0", "1e400", "\n", " ", "\ufeff", "\U0010ffff",
)  # fmt: skip
JUNK: tuple[Any, ...] = (
    *JUNK_TEXT, None, True, False, 0, -1, 10**400, -(10**30), 2**63, 2**64, 1e308, -1e308, 0.1, [], {}, [[]], [{}],
    {"": ""}, ["a"] * 3000, {"a": {"a": {"a": {}}}},
)  # fmt: skip
JUNK_TIMES = (
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00",
    "2026-01-01T24:00:00Z", "2026-12-31T23:59:60Z", "-0001-01-01T00:00:00Z", "2026-01-01T00:00:00+99:99",
    "1969-12-31T23:59:59.999999999Z", "today", "25:00:00", "08:00:00Z",
)  # fmt: skip
RAW = (
    b"", b"{", b"}", b"[" * 30_000, b'{"a":' * 5000, b"\xff\xfe{}", b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":NaN}',
    b'{"a":1e999}', b"null", b"[]", b"0", b'"x"', b"{} {}", b"\x00", b'{"a":1,"a":2}', b'{"\\u0000":1}', b"{'a':1}",
    b"\xef\xbb\xbf{}", b"-", b"1" * 20_000, b"a=b&c=d", b"--x\r\nContent-Disposition: form-data\r\n\r\n",
    b" " * 70_000, b'{"x":"' + b"y" * 70_000 + b'"}',
)  # fmt: skip


class Maker:
    """Makes values from a schema, and spoils them."""

    def __init__(self, document: dict[str, Any], ids: list[str], photo: str) -> None:
        self.schemas = document["components"]["schemas"]
        self.lots = random.Random(SEED)
        self.ids = ids
        self.photo = photo

    def value(self, schema: dict[str, Any]) -> Any:
        if "$ref" in schema:
            return self.value(self.schemas[schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return self.value(self.lots.choice(schema["anyOf"]))
        if "enum" in schema:
            return self.lots.choice(schema["enum"])
        make: dict[str, Callable[[dict[str, Any]], Any]] = {
            "object": self._object,
            "array": lambda one: [self.value(one["items"]) for _ in range(self.lots.randint(1, 3))],
            "string": self._text,
            "integer": lambda one: self.lots.randint(one.get("minimum", -5), one.get("maximum", 5)),
            "number": lambda one: self.lots.uniform(one.get("minimum", -5), one.get("maximum", 5)),
            "boolean": lambda _: self.lots.random() < 0.5,
            "null": lambda _: None,
        }
        return make[schema["type"]](schema)

    def _object(self, schema: dict[str, Any]) -> Any:
        required = schema.get("required", ())
        made = {
            name: self.value(one)
            for name, one in schema.get("properties", {}).items()
            if name in required or self.lots.random() < 0.6
        }
        if isinstance(schema.get("additionalProperties"), dict):
            made["access_token"] = self.value(schema["additionalProperties"])
        return made

    def _text(self, schema: dict[str, Any]) -> str:
        if schema.get("format") == "date-time":
            return f"2026-11-{self.lots.randint(10, 28)}T{self.lots.randint(10, 23)}:00:00Z"
        if schema.get("format") == "time":
            return "08:30:00"
        if "contentEncoding" in schema:
            return self.photo
        pattern = schema.get("pattern", "")
        if pattern.startswith("^[a-z]{2,12}_"):
            return self.lots.choice(self.ids)
        known = {"^[A-HJ-NPR": "1G1FY6S00N4100001", r"^\]": "]C1", "^https": "https://x.example/a.png"}
        for start, text in known.items():
            if pattern.startswith(start):
                return text
        examples = (*schema.get("examples", ()), "onstar", "America/New_York", "TBA123456789012", "abc")
        return str(self.lots.choice(examples))[: schema.get("maxLength", 100)]

    def spoil(self, value: Any) -> Any:
        """The value with one place of it replaced, left out or added."""
        if isinstance(value, dict) and value and self.lots.random() < 0.8:
            name = self.lots.choice(list(value))
            turn = self.lots.random()
            if turn < 0.15:
                return {key: one for key, one in value.items() if key != name}
            if turn < 0.25:
                return {**value, self.lots.choice(JUNK_TEXT): self.lots.choice(JUNK)}
            return {**value, name: self.spoil(value[name])}
        if isinstance(value, list) and value and self.lots.random() < 0.6:
            return [*value[1:], self.spoil(value[0])] * self.lots.choice((1, 1, 1, 60))
        if isinstance(value, str) and self.lots.random() < 0.3:
            return self.lots.choice((*JUNK_TIMES, value + "\x00", value[:-1], value * 50))
        return self.lots.choice(JUNK)

    def body(self, schema: dict[str, Any]) -> bytes:
        turn = self.lots.random()
        if turn < 0.15:
            return self.lots.choice(RAW)
        value = self.value(schema)
        for _ in range(0 if turn < 0.25 else self.lots.randint(1, 3)):
            value = self.spoil(value)
        written = json.dumps(value, ensure_ascii=self.lots.random() < 0.5)
        raw = bytearray(written.encode("utf-8", "surrogatepass"))
        if turn > 0.9 and raw:
            raw[self.lots.randrange(len(raw))] = self.lots.randrange(256)
        return bytes(raw)


async def send(
    app: Any, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> tuple[int, str]:
    """Status and media type of the answer."""
    answered = await ask_raw(app, method, quote(path), query, headers, body)
    return answered.status, dict(answered.headers).get(b"content-type", b"").decode()


@pytest.mark.timeout(110)
async def test_ten_thousand_malformed_requests_and_no_fault_of_ours(
    platform: Platform, tenant: Tenant, operator: Caller, http: httpx.AsyncClient
) -> None:
    await save_reading(platform, tenant.access_point_id)
    visit_id = (await scan(tenant))["id"]
    document = (await http.get("/v1/openapi.json")).json()
    ids = [tenant.consignee.id, tenant.courier.id, tenant.access_point_id, tenant.shipment_id, tenant.stop_id]
    maker = Maker(
        document, [*ids, visit_id, tenant.device_id], base64.b64encode(picture_of("x", 50)).decode()
    )
    callers = {
        "carrier_key": tenant.carrier,
        "consignee_key": tenant.consignee,
        "operator_key": operator,
        "phone_token": tenant.courier,
        "phone_key": Caller(http=http, phone=tenant.courier.phone),
    }
    app = create_app(platform)
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["operationId"] not in ("revoke_device", "deactivate_courier")  # would end the round
    ]
    seen: Counter[int] = Counter()
    for number in range(REQUESTS):
        method, path, operation = maker.lots.choice(operations)
        status, media_type, sent = await _ask(app, maker, callers, method, path, operation)
        told = f"seed {SEED}, request {number}: {sent[:300]!r} gave {status}"
        assert 200 <= status < 500, told
        assert str(status) in operation["responses"] or status in (404, 405), told
        assert status < 400 or media_type == "application/problem+json", told
        seen[status] += 1
    print(f"{REQUESTS} requests: {dict(sorted(seen.items()))}")
    # It reaches the inside (200, 201), and each kind of refusal.
    for status in (200, 201, 400, 401, 403, 404, 409, 413, 415, 422):
        assert seen[status] > 0, f"never a {status}: {seen}"
    assert (await http.get("/readyz")).status_code == 200
    assert (await tenant.courier.get(f"/v1/visits/{visit_id}")).status_code == 200


async def _ask(
    app: Any, maker: Maker, callers: dict[str, Caller], method: str, path: str, operation: dict[str, Any]
) -> tuple[int, str, str]:
    lots = maker.lots
    query = []
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            own = [one for one in maker.ids if one.startswith(_prefix(parameter["name"]))] or maker.ids
            value = lots.choice(own if lots.random() < 0.8 else [*maker.ids, *JUNK_TEXT])
            path = path.replace("{" + parameter["name"] + "}", value.replace("/", "") or "x")
        elif parameter["in"] == "query" and lots.random() < 0.5:
            junk = lots.choice(("1", "100", "0", "-1", "x", "%00", "%FF", "%ED%A0%80", "1e9", "9" * 400, ""))
            query.append(f"{parameter['name']}={junk}")
    schemes = [next(iter(scheme)) for scheme in operation["security"]]
    scheme = lots.choice(schemes if schemes and lots.random() < 0.93 else list(callers))
    headers = callers[scheme].headers(method, quote(path)) if lots.random() < 0.97 else {}
    headers["Idempotency-Key"] = str(uuid4()) if lots.random() < 0.9 else lots.choice((*JUNK_TEXT, "same"))
    if "Last-Event-ID" in operation["description"] and lots.random() < 0.5:
        headers["Last-Event-ID"] = lots.choice(JUNK_TEXT)
    if lots.random() < 0.05:
        headers["Accept-Language"] = lots.choice(JUNK_TEXT)
    headers = {name: value.replace("\n", " ").replace("\x00", "?") for name, value in headers.items()}
    body = b""
    if method == "POST":
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        body = maker.body(content["schema"]) if content else lots.choice((b"", b"{}", *RAW[:6]))
        headers["Content-Type"] = "application/json" if lots.random() < 0.95 else "text/plain"
        headers["Content-Length"] = str(len(body))
    status, media_type = await send(app, method, path, "&".join(query), headers, body)
    return status, media_type, f"{method} {path}?{'&'.join(query)} {body[:200]!r}"


def _prefix(name: str) -> str:
    kinds = {
        "consignee": "con_",
        "courier": "cou_",
        "access_point": "acc_",
        "shipment": "shp_",
        "stop": "stp_",
    }
    return kinds.get(name.removesuffix("_id"), name[:3] + "_")
