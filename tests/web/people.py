"""People who share a place, for the tests of households and of what comes after a visit."""

from __future__ import annotations

from typing import Any

from tests.web.conftest import Caller, Tenant
from tests.web.test_visits import save_reading, scan, tell

from unlatch.domain.visit import Fact
from unlatch.flow.platform import Platform


async def add_consignee(carrier: Caller, name: str, language: str = "en") -> Caller:
    """Someone whom this carrier knows."""
    made = await carrier.make("/v1/consignees", {"name": name, "language": language})
    return Caller(http=carrier.http, key=made["key"], id=made["id"])


async def invite(owner: Caller, place_id: str) -> str:
    """The code of a new invitation."""
    made = await owner.make(f"/v1/me/access_points/{place_id}/invitations")
    code: str = made["code"]
    return code


async def add_member(tenant: Tenant, name: str = "Ben Brother", language: str = "en") -> Caller:
    """Someone who shares the tenant's place as a member."""
    member = await add_consignee(tenant.carrier, name, language)
    await member.make(
        "/v1/me/households/join", {"code": await invite(tenant.consignee, tenant.access_point_id)}
    )
    return member


async def deliver(platform: Platform, tenant: Tenant, *, is_over: bool = True) -> str:
    """A visit that ended well; its watch is over if wanted."""
    await save_reading(platform, tenant.access_point_id)
    visit_id: str = (await scan(tenant))["id"]
    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE)
    for word in ("opened", "deposited", "closed"):
        await tenant.courier.make(f"/v1/courier/visits/{visit_id}/{word}", {})
    await tell(platform, visit_id, Fact.SEEN_LOCKED)
    if is_over:
        async with platform.database.connection() as connection:
            await connection.execute(
                "UPDATE visit SET tail = 'over', deadline_at = NULL WHERE id = %s", (visit_id,)
            )
    return visit_id


async def move_visit(platform: Platform, visit_id: str, days: float) -> None:
    """As if the visit had ended that many days earlier."""
    async with platform.database.connection() as connection:
        await connection.execute(
            "UPDATE visit SET ended_at = ended_at - make_interval(secs => %s) WHERE id = %s",
            (days * 86_400, visit_id),
        )


async def fetch(platform: Platform, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows, as the database has them."""
    async with platform.database.connection() as connection:
        cursor = await connection.execute(query.encode(), values)
        return await cursor.fetchall()
