"""Somebody of whom everything is kept, and looking for it everywhere: for the tests of erasing a person."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row
from tests.web.conftest import ADDRESS, CAR_TOKEN, PLATE, VIN, Caller, Tenant
from tests.web.people import add_member, fetch
from tests.web.recorded import Recorded
from tests.web.test_claims import open_claim
from tests.web.test_pages import sign_in

from unlatch.errors import SealBroken
from unlatch.flow import erasing, forgetting, retention
from unlatch.flow.platform import Platform
from unlatch.store.deeds import insert_deed
from unlatch.store.looks import LookRow, insert_look
from unlatch.store.vault import Vault

NAME, FIRST = "Quillfeather Zebedee", "Quillfeather"
MAIL, NUMBER, MAKER_TOKEN = "zebedee@quill.example", "+15550109876", "maker-token-7731"
WORDS = "the ochre umbrella"
NEEDLES = (
    FIRST, "Zebedee", PLATE, VIN, CAR_TOKEN, MAIL, NUMBER, MAKER_TOKEN, WORDS, "Quill Drive", "Quill hall camera",
    str(ADDRESS["latitude"]), str(ADDRESS["longitude"]).lstrip("-"),
)  # fmt: skip

# Every column by which a row belongs to a person, a place, a stop or a visit: how erasing stands to it. A new one is
# looked at by a person: either `store/erasures.py` erases what its row holds, or the row names nobody.
KNOWN = {
    "access_point.consignee_id", "access_point.blocked_by", "call.visit_id", "camera.access_point_id",
    "claim.access_point_id", "claim.consignee_id", "claim.stop_id", "claim.visit_id", "clip.visit_id",
    "clip_hold.visit_id", "clip_pass.visit_id", "clip_pass.who", "command.visit_id", "channel.reader_id",
    "claim_step.who", "deed.access_point_id", "deed.stop_id", "deed.who", "duty.stop_id", "enrolment.access_point_id",
    "enrolment.begun_by", "erasure.consignee_id", "fallback_end.stop_id", "fallback_end.who", "fallback_photo.stop_id",
    "grant_.visit_id", "home.access_point_id", "idempotency.principal", "invitation.access_point_id",
    "invitation.used_by", "journal.visit_id", "journal.who", "journal_private.visit_id", "link_request.consignee_id",
    "look.access_point_id", "look.stop_id", "look.who", "maker_account.consignee_id", "member.access_point_id",
    "member.consignee_id", "notice.access_point_id", "notice.reader_id", "notice.stop_id", "notice.visit_id",
    "notice_preference.consignee_id", "parcel.stop_id", "passkey.reader_id", "photo.visit_id",
    "preflight.access_point_id", "preflight.stop_id", "rating.consignee_id", "rating.visit_id",
    "reading.access_point_id", "recording.visit_id", "rule_edit.who", "session.reader_id", "shipment.consignee_id",
    "sign_in_link.reader_id", "stop.access_point_id", "stop.again_of", "ticket.consignee_id", "ticket.visit_id",
    "vehicle.access_point_id", "visit.access_point_id", "visit.stop_id", "visit_parcel.visit_id",
}  # fmt: skip
# Tables that belong to a person by way of another one, or to nobody at all.
OTHERS = {
    "carrier", "operator", "consignee", "courier", "device", "fence", "used_proof", "dispatch", "read_budget",
    "claim_photo", "evidence", "recorder", "enrolment_step", "camera_feed", "challenge", "freeze_", "erasure_step",
    "pgqueuer", "pgqueuer_log", "pgqueuer_schedules", "pgqueuer_statistics", "migration",
}  # fmt: skip
WORDY = {
    "camera_feed.key_hash", "claim.words", "claim_photo.content", "claim_step.words", "clip_pass.reason",
    "enrolment.picture", "enrolment_step.shown", "fallback_end.told", "fallback_photo.content", "home.directions",
    "photo.content", "rating.words",
}  # fmt: skip
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
BY_NAME = (
    "consignee_id", "reader_id", "access_point_id", "stop_id", "visit_id", "begun_by", "used_by", "blocked_by", "who",
    "principal",
)  # fmt: skip
_BELONGING = """
    SELECT table_name || '.' || column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND column_name = ANY(%s)
    UNION
    SELECT class.relname || '.' || attribute.attname FROM pg_constraint
    JOIN pg_class class ON class.oid = conrelid
    JOIN pg_attribute attribute ON attribute.attrelid = conrelid AND attribute.attnum = ANY(conkey)
    WHERE contype = 'f' AND confrelid IN ('consignee'::regclass, 'access_point'::regclass, 'stop'::regclass,
        'visit'::regclass)
"""


# ---- looking everywhere


def _texts(value: Any) -> Iterator[str]:
    """What may be read in a value."""
    match value:
        case None | bool():
            return
        case bytes() | memoryview():
            raw = bytes(value)
            yield raw.decode("utf-8", errors="replace")
            try:
                yield zlib.decompress(raw).decode("utf-8", errors="replace")
            except zlib.error:
                return
        case dict() | list():
            yield json.dumps(value, ensure_ascii=False, default=str)
        case datetime() | date() | time() | timedelta():
            yield str(value)
        case _:
            yield str(value)


def _opened(vault: Vault, value: Any, row: dict[str, Any]) -> Iterator[str]:
    """What is sealed in a value, by whatever its row may be called. A seal that the test can't open is no excuse."""
    if not isinstance(value, bytes | memoryview) or bytes(value)[:9] != vault.seal(b"", "x")[:9]:
        return
    called = [one for one in row.values() if isinstance(one, str)]
    called += [
        f"{row.get('principal')} {row.get('key')}",
        f"{row.get('id')} poster",
        f"{row.get('id')}/poster",
    ]
    for one in called:
        try:
            yield vault.open(bytes(value), one).decode("utf-8", errors="replace")
        except SealBroken:
            continue
        else:
            return
    raise AssertionError(f"a seal that this test can't open: {sorted(row)}")


async def find_everywhere(platform: Platform) -> dict[str, set[str]]:
    """By needle: the columns in which it stands, sealed or not."""
    found: dict[str, set[str]] = {needle: set() for needle in NEEDLES}
    async with (
        platform.database.connection() as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        tables = await fetch(
            platform,
            TABLES,
        )
        for (table,) in tables:
            await cursor.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
            for row in await cursor.fetchall():
                for column, value in row.items():
                    for text in (*_texts(value), *_opened(platform.vault, value, row)):
                        for needle in NEEDLES:
                            if needle in text:
                                found[needle].add(f"{table}.{column}")
    return found


async def go_on(platform: Platform) -> None:
    """What the workers do until nothing more can be done now; the repeats of the day before are forgotten too."""
    for _ in range(3):
        await fetch(platform, "UPDATE erasure SET next_at_real = now() - interval '1 s' RETURNING 1")
        await erasing.go_on(platform)
        await end_accounts(platform)
        await retention.remove_erased(platform)
    await fetch(platform, "UPDATE idempotency SET at = at - interval '2 days' RETURNING 1")
    await forgetting.forget(platform)


async def end_accounts(platform: Platform) -> None:
    """The maker has been told (`flow/refreshing.py`; its own tests tell it)."""
    await fetch(
        platform,
        "UPDATE maker_account SET state = 'ended', sealed = NULL, ended_at = now(), is_revoked = true "
        "WHERE state = 'ending' RETURNING 1",
    )


async def be_erased(asker: Caller, *, away: bool = False) -> str:
    """The receipt's name."""
    receipt = erasing.make_receipt()
    answer = await asker.post("/v1/me/erasure", {"receipt": receipt, "sends_deliveries_away": away})
    assert answer.status_code == 202, answer.text
    assert answer.json()["receipt"] == receipt
    return receipt


async def read_receipt(tenant: Tenant, receipt: str) -> dict[str, Any]:
    answer = await tenant.carrier.http.get(f"/v1/erasures/{receipt}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


# ---- somebody of whom everything is kept


async def live_a_little(recorded: Recorded, tenant: Tenant) -> str:
    """Someone of whom there is something in every corner; the visit that was made to them."""
    platform, me, place = recorded.platform, tenant.consignee, tenant.access_point_id
    await fetch(platform, "UPDATE consignee SET name = %s WHERE id = %s RETURNING 1", NAME, me.id)
    await fetch(platform, "UPDATE access_point SET name = 'Quill Drive' WHERE id = %s RETURNING 1", place)
    await add_member(tenant)
    visit_id = await recorded.deliver(tenant)
    await recorded.begin(tenant, visit_id)  # takes that are no clip yet
    for verb in ("block", "unblock"):
        await me.make(f"/v1/me/access_points/{place}/{verb}")
    await me.make(f"/v1/me/visits/{visit_id}/rating", {"stars": 4, "words": WORDS})
    claim = await open_claim(me, visit_id, words=f"{WORDS} is missing")
    denied = {"accepts": False, "words": f"{WORDS} was there"}
    await tenant.carrier.make(f"/v1/claims/{claim['id']}/answer", denied)
    await me.make(f"/v1/me/claims/{claim['id']}/withdraw")
    await me.make(f"/v1/me/visits/{visit_id}/clip_passes", {"reader": "carrier", "reason": WORDS})
    await sign_in(tenant.carrier.http, me.key)
    tenant.carrier.http.cookies.clear()
    now = platform.clock.now()
    async with platform.database.transaction() as connection:
        await seal_ways(platform.vault, connection, me.id, place, now)
        await _picture_it(platform.vault, connection, me.id, place, now)
        await insert_deed(
            connection, access_point_id=place, stop_id=None, who=f"consignee:{me.id}", what="camera_added",
            body={"camera": "Quill hall camera"}, at=now,
        )  # fmt: skip
        await connection.execute("UPDATE camera SET name = 'Quill hall camera'")
        await insert_look(
            connection,
            LookRow(
                id="loo_1", access_point_id=place, stop_id=tenant.stop_id, who=f"courier:{tenant.courier.id}",
                what="position_and_plate", at=now,
            ),
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO fallback_end (stop_id, parcel_id, fallback, told, at) SELECT stop_id, id, 'neighbour', %s, %s "
            "FROM parcel",
            (f"{WORDS} at Quill Drive", now),
        )
    return visit_id


async def seal_ways(vault: Vault, connection: AsyncConnection, me: str, place: str, now: datetime) -> None:
    for number, (kind, address) in enumerate({"email": MAIL, "sms": NUMBER}.items()):
        channel = f"chn_{number}"
        await connection.execute(
            "INSERT INTO channel (id, reader, reader_id, kind, sealed, digest, shown, state, created_at) "
            "VALUES (%s, 'consignee', %s, %s, %s, %s, %s, 'live', now())",
            (channel, me, kind, vault.seal({"to": address}, channel), kind.encode(), address),
        )
        await connection.execute(
            "INSERT INTO dispatch (notice_id, channel_id, kind, state, why, created_at) "
            "SELECT id, %s, %s, 'failed', %s, now() FROM notice WHERE reader = 'consignee' AND reader_id = %s LIMIT 1",
            (channel, kind, f"{address} is full", me),
        )
    await connection.execute(
        "INSERT INTO maker_account (id, consignee_id, maker, state, sealed, scopes, generation, access_expires_at, "
        "refresh_at, linked_at) VALUES ('acc_1', %s, 'volvo', 'live', %s, '{}', 1, %s, %s, %s)",
        (me, vault.seal({"access_token": MAKER_TOKEN}, "acc_1"), now, now, now),
    )
    await connection.execute(
        "INSERT INTO preflight (stop_id, plan_number, kind, at, reasons, is_seen, parking, distance_m, is_alarming, "
        "rules_version) SELECT id, 1, 'asked', %s, '{}', true, 'in_range', 40, false, 'r' FROM stop "
        "WHERE access_point_id = %s",
        (now, place),
    )


async def _picture_it(vault: Vault, connection: AsyncConnection, me: str, place: str, now: datetime) -> None:
    """What a home has, and pictures wherever there may be one."""
    picture = {"me": me, "place": place, "now": now, "told": f"behind {WORDS}", "picture": WORDS.encode()}
    picture["sealed"] = vault.seal(WORDS.encode(), "enr_1")
    for statement in (
        "INSERT INTO home (access_point_id, form, rings_first, directions) VALUES (%(place)s, 'door', false, %(told)s)",
        (
            "INSERT INTO enrolment (id, camera_id, access_point_id, begun_by, begun_at, until_real, picture) "
            "SELECT 'enr_1', id, access_point_id, %(me)s, %(now)s, %(now)s, %(sealed)s FROM camera LIMIT 1"
        ),
        (
            "INSERT INTO enrolment_step (enrolment_id, step, state, shown, changed_at) "
            "VALUES ('enr_1', 'picture', 'passed', to_jsonb(%(told)s::text), %(now)s)"
        ),
        "INSERT INTO camera_feed (camera_id, key_hash) SELECT id, %(picture)s FROM camera LIMIT 1",
        (
            "INSERT INTO photo (sha256, visit_id, media_type, content, taken_at) "
            "SELECT '1', id, 'image/jpeg', %(picture)s, %(now)s FROM visit"
        ),
        (
            "INSERT INTO claim_photo (claim_id, sha256, media_type, content) SELECT id, '1', 'image/jpeg', %(picture)s "
            "FROM claim"
        ),
        (
            "INSERT INTO fallback_photo (stop_id, sha256, media_type, content, taken_at) "
            "SELECT id, '1', 'image/jpeg', %(picture)s, %(now)s FROM stop"
        ),
    ):
        await connection.execute(statement.encode(), picture)


# ---- new tables


async def list_unknown(platform: Platform) -> set[str]:
    """Columns by which a row belongs to someone, and tables that nobody has looked at."""
    belonging = {row[0] for row in await fetch(platform, _BELONGING, list(BY_NAME))}
    tables = await fetch(
        platform,
        TABLES,
    )
    known = {one.partition(".")[0] for one in KNOWN} | OTHERS
    return belonging ^ KNOWN | {row[0] for row in tables} - known
