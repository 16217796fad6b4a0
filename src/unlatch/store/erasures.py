"""Erasure of a person: how far it is, what holds it, and each step's rows. `flow/erasing.py` says in which order.

Every function here may be done again at any time: what is gone already is passed over. A test lists each column by
which a row belongs to a person (`KNOWN` in tests/web/erased.py), so that no new table is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from unlatch.domain.erasure import FALLBACK_GRACE_S, Held, Step
from unlatch.store.aftermath import TAILS_THAT_ARE_OVER
from unlatch.store.retention import HELD

Values = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureRow:
    """One person's erasure."""

    id: str
    consignee_id: str
    asked_at: datetime
    ended_at: datetime | None
    link_until_real: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """What one step has erased so far."""

    step: Step
    count: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """What is kept for now, as its row is called; `until` None: until its reason ends."""

    why: Held
    id: str
    until: datetime | None


_ERASURE = ", ".join(ErasureRow.__slots__)
_OVER = ", ".join(f"'{tail}'" for tail in TAILS_THAT_ARE_OVER)
_IS_OVER = f"(visit.ended_at IS NOT NULL AND visit.tail IN ({_OVER}))"
_FREE = f"{_IS_OVER} AND NOT ({HELD})"  # of the row `visit`: nothing holds it
_TO_COME = "stop.state IN ('open', 'fallback_due')"
_LIST_HELD = f"""
    -- Everything that keeps something of a person for now, by these places and by themselves.
    SELECT '{Held.VISIT}' AS why, visit.id, NULL::timestamptz AS until FROM visit
    WHERE visit.access_point_id = ANY(%(places)s) AND NOT {_IS_OVER}
    UNION ALL
    SELECT '{Held.DELIVERY}', stop.id, stop.window_until + %(grace)s FROM stop
    WHERE stop.access_point_id = ANY(%(places)s) AND {_TO_COME} AND stop.window_until + %(grace)s > %(now)s
    UNION ALL
    SELECT '{Held.CLAIM}', claim.id, NULL FROM claim
    WHERE claim.ended_at IS NULL AND (claim.consignee_id = %(me)s OR claim.access_point_id = ANY(%(places)s))
    UNION ALL
    SELECT '{Held.HOLD}', clip_hold.visit_id, clip_hold.until FROM clip_hold
    JOIN visit ON visit.id = clip_hold.visit_id
    WHERE visit.access_point_id = ANY(%(places)s) AND clip_hold.ended_at IS NULL AND clip_hold.until > %(now)s
    UNION ALL
    SELECT '{Held.ACCOUNT}', id, NULL FROM maker_account WHERE consignee_id = %(me)s AND state = 'ending'
    ORDER BY 1, 2 LIMIT 500
"""


# ---- how far it is


async def insert_erasure(
    connection: AsyncConnection, row: ErasureRow, token_hash: bytes, real_now: datetime
) -> bool:
    """A person's word; False: it was given before, or another's receipt has this name."""
    cursor = await connection.execute(
        "INSERT INTO erasure (id, consignee_id, token_hash, asked_at, next_at_real) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING RETURNING id",
        (row.id, row.consignee_id, token_hash, row.asked_at, real_now),
    )
    return await cursor.fetchone() is not None


async def claim_due(
    connection: AsyncConnection, real_now: datetime, *, again_at: datetime, limit: int
) -> list[ErasureRow]:
    """Those with which someone goes on now; who does not come back is followed by another at `again_at`."""
    async with connection.cursor(row_factory=class_row(ErasureRow)) as cursor:
        await cursor.execute(
            "UPDATE erasure SET next_at_real = %s WHERE id IN (SELECT id FROM erasure WHERE ended_at IS NULL "
            "AND next_at_real <= %s ORDER BY next_at_real LIMIT %s FOR NO KEY UPDATE SKIP LOCKED) "
            f"RETURNING {_ERASURE}".encode(),
            (again_at, real_now, limit),
        )
        return await cursor.fetchall()


async def note_step(
    connection: AsyncConnection, erasure_id: str, step: Step, *, count: int, now: datetime
) -> None:
    """A step has erased so much more."""
    await connection.execute(
        "INSERT INTO erasure_step AS kept (erasure_id, step, count, at) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (erasure_id, step) DO UPDATE SET count = kept.count + excluded.count, "
        "at = CASE WHEN excluded.count > 0 THEN excluded.at ELSE kept.at END",
        (erasure_id, step, count, now),
    )


async def set_next(connection: AsyncConnection, erasure_id: str, at: datetime) -> None:
    """When someone goes on with it."""
    await connection.execute(
        "UPDATE erasure SET next_at_real = %s WHERE id = %s AND ended_at IS NULL", (at, erasure_id)
    )


async def end_erasure(
    connection: AsyncConnection, erasure_id: str, *, now: datetime, link_until_real: datetime
) -> None:
    """Nothing is held any more, and all is gone."""
    await connection.execute(
        "UPDATE erasure SET ended_at = %s, link_until_real = %s WHERE id = %s AND ended_at IS NULL",
        (now, link_until_real, erasure_id),
    )


async def find_by_token(
    connection: AsyncConnection, token_hash: bytes, real_now: datetime
) -> ErasureRow | None:
    """The erasure of this link, while it is good."""
    async with connection.cursor(row_factory=class_row(ErasureRow)) as cursor:
        await cursor.execute(
            f"SELECT {_ERASURE} FROM erasure WHERE token_hash = %s "
            "AND (link_until_real IS NULL OR link_until_real > %s)".encode(),
            (token_hash, real_now),
        )
        return await cursor.fetchone()


async def list_steps(connection: AsyncConnection, erasure_id: str) -> dict[Step, StepRow]:
    """What each step has erased so far."""
    cursor = await connection.execute(
        "SELECT step, count, at FROM erasure_step WHERE erasure_id = %s", (erasure_id,)
    )
    rows = [StepRow(step=Step(row[0]), count=row[1], at=row[2]) for row in await cursor.fetchall()]
    return {row.step: row for row in rows}


async def list_held(
    connection: AsyncConnection, consignee_id: str, place_ids: Sequence[str], now: datetime
) -> list[HeldRow]:
    """What keeps something of this person, or of these places of theirs, for now."""
    values = {
        "me": consignee_id,
        "places": list(place_ids),
        "now": now,
        "grace": timedelta(seconds=FALLBACK_GRACE_S),
    }
    cursor = await connection.execute(_LIST_HELD.encode(), values)
    return [HeldRow(why=Held(row[0]), id=row[1], until=row[2]) for row in await cursor.fetchall()]


async def list_stops_to_come(
    connection: AsyncConnection, place_ids: Sequence[str], now: datetime
) -> list[tuple[str, str, datetime, datetime, str]]:
    """Stop, place, window and fallback of what is still to be brought to these places, the next first."""
    cursor = await connection.execute(
        f"SELECT id, access_point_id, window_from, window_until, fallback FROM stop "
        f"WHERE access_point_id = ANY(%s) AND {_TO_COME} AND window_until > %s AND ruled_out IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM visit WHERE visit.stop_id = stop.id AND visit.ended_at IS NULL) "
        "ORDER BY window_from, id LIMIT 500".encode(),
        (list(place_ids), now),
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in await cursor.fetchall()]


# ---- the steps


async def _count(connection: AsyncConnection, values: Values, *statements: str) -> int:
    """How many rows these have changed in all."""
    count = 0
    for statement in statements:
        count += max(0, (await connection.execute(statement.encode(), values)).rowcount)
    return count


async def _is_there(connection: AsyncConnection, values: Values, query: str) -> bool:
    row = await (await connection.execute(f"SELECT EXISTS ({query})".encode(), values)).fetchone()
    return row is not None and bool(row[0])


async def end_access(connection: AsyncConnection, consignee_id: str, *, no_key: bytes, now: datetime) -> int:
    """Nobody is signed in as this person any more. `no_key`: a hash of a key that nobody has."""
    values = {"me": consignee_id, "who": f"consignee:{consignee_id}", "no_key": no_key, "now": now}
    mine = "reader = 'consignee' AND reader_id = %(me)s"
    return await _count(
        connection,
        values,
        f"DELETE FROM challenge WHERE session_id IN (SELECT id FROM session WHERE {mine})",
        f"DELETE FROM session WHERE {mine}",
        f"DELETE FROM passkey WHERE {mine}",
        f"DELETE FROM sign_in_link WHERE {mine}",
        "DELETE FROM ticket WHERE consignee_id = %(me)s",
        "DELETE FROM link_request WHERE consignee_id = %(me)s",
        "DELETE FROM idempotency WHERE principal = %(who)s",
        "UPDATE consignee SET key_hash = %(no_key)s, erased_at = %(now)s WHERE id = %(me)s AND erased_at IS NULL",
    )


async def end_channels(connection: AsyncConnection, consignee_id: str, *, now: datetime, limit: int) -> int:
    """No way leads to this person any more, and what they were told goes, but for what an open claim holds."""
    return await _count(
        connection,
        {"me": consignee_id, "now": now, "limit": limit},
        "UPDATE channel SET state = 'gone', sealed = '', digest = '', shown = '', code_digest = NULL, language = NULL, "
        "gone_at = coalesce(gone_at, %(now)s), why_gone = 'erased' WHERE reader = 'consignee' "
        "AND reader_id = %(me)s AND why_gone IS DISTINCT FROM 'erased'",
        "DELETE FROM notice_preference WHERE consignee_id = %(me)s",
        f"DELETE FROM dispatch WHERE notice_id IN ({_NOTICES})",
        f"DELETE FROM notice WHERE id IN ({_NOTICES})",
    )


_MINE = "reader = 'consignee' AND reader_id = %(me)s"
_NOTICES = f"""
    SELECT id FROM notice WHERE {_MINE}
        AND NOT EXISTS (SELECT 1 FROM claim WHERE claim.stop_id = notice.stop_id AND claim.ended_at IS NULL)
    ORDER BY created_at, id LIMIT %(limit)s
"""


async def has_notices(connection: AsyncConnection, consignee_id: str) -> bool:
    """Whether something that this person was told is left."""
    return await _is_there(connection, {"me": consignee_id}, f"SELECT 1 FROM notice WHERE {_MINE}")


_NAMED = "facts ?| ARRAY['camera', 'place', 'told', 'who']"  # as the index notice_that_names has it
_TAKE_OUT_NAME = f"""
    -- Others were told that this person did something: that stays, and their name goes.
    UPDATE notice SET facts = facts - 'who' WHERE id IN (
        SELECT id FROM notice WHERE {_NAMED} AND facts ->> 'who' = ANY(%(names)s) AND access_point_id IN (
            SELECT id FROM access_point WHERE consignee_id = %(me)s
            UNION SELECT access_point_id FROM member WHERE consignee_id = %(me)s
            UNION SELECT access_point_id FROM deed WHERE who = %(who)s)
        LIMIT %(limit)s)
"""


async def take_out_name(
    connection: AsyncConnection, consignee_id: str, names: Sequence[str], *, limit: int
) -> int:
    """What others were told of this person tells their name no more; how many notices that were."""
    values = {"me": consignee_id, "who": f"consignee:{consignee_id}", "names": list(names), "limit": limit}
    return await _count(connection, values, _TAKE_OUT_NAME)


async def forget_name(connection: AsyncConnection, consignee_id: str) -> int:
    """The person's own row: a number, and nothing else."""
    return await _count(
        connection,
        {"me": consignee_id},
        "UPDATE consignee SET name = '', plans = '{}', language = 'en' "
        "WHERE id = %(me)s AND (name <> '' OR plans <> '{}')",
    )


_RECORDED = """
    visit.access_point_id = ANY(%(places)s) AND EXISTS (
        SELECT 1 FROM recording WHERE recording.visit_id = visit.id AND recording.erased_at IS NULL AND (
            recording.state IN ('wanted', 'recording', 'ending', 'failed')
            OR EXISTS (SELECT 1 FROM clip WHERE clip.recording_id = recording.id AND clip.erased_at IS NULL)))
"""


async def list_recorded(
    connection: AsyncConnection, place_ids: Sequence[str], now: datetime, *, limit: int
) -> list[str]:
    """Visits at these places of which something is recorded that nothing holds."""
    cursor = await connection.execute(
        f"SELECT visit.id FROM visit WHERE {_RECORDED} AND {_FREE} ORDER BY visit.id LIMIT %(limit)s".encode(),
        {"places": list(place_ids), "now": now, "limit": limit},
    )
    return [row[0] for row in await cursor.fetchall()]


async def has_recorded(connection: AsyncConnection, place_ids: Sequence[str]) -> bool:
    """Whether something recorded of a visit there is left."""
    return await _is_there(connection, {"places": list(place_ids)}, f"SELECT 1 FROM visit WHERE {_RECORDED}")


_PRIVATE = """
    visit.access_point_id = ANY(%(places)s) AND (visit.closure_key IS NOT NULL
        OR EXISTS (SELECT 1 FROM journal_private WHERE journal_private.visit_id = visit.id)
        OR EXISTS (SELECT 1 FROM photo WHERE photo.visit_id = visit.id)
        OR EXISTS (SELECT 1 FROM clip_pass WHERE clip_pass.visit_id = visit.id AND reason <> '')
        OR EXISTS (SELECT 1 FROM clip_hold WHERE clip_hold.visit_id = visit.id AND reason <> ''))
"""


async def forget_visits(
    connection: AsyncConnection, place_ids: Sequence[str], now: datetime, *, limit: int
) -> int:
    """The private parts of some visits there; how many visits. The salted digests stay, and the chain holds."""
    cursor = await connection.execute(
        f"SELECT visit.id FROM visit WHERE {_PRIVATE} AND {_FREE} ORDER BY visit.id LIMIT %(limit)s "
        "FOR NO KEY UPDATE OF visit SKIP LOCKED".encode(),
        {"places": list(place_ids), "now": now, "limit": limit},
    )
    visit_ids = [row[0] for row in await cursor.fetchall()]
    await _count(
        connection,
        {"visits": visit_ids},
        "DELETE FROM journal_private WHERE visit_id = ANY(%(visits)s)",
        "DELETE FROM photo WHERE visit_id = ANY(%(visits)s)",
        "UPDATE clip_pass SET reason = '' WHERE visit_id = ANY(%(visits)s)",
        "UPDATE clip_hold SET reason = '' WHERE visit_id = ANY(%(visits)s)",
        "UPDATE visit SET closure_key = NULL WHERE id = ANY(%(visits)s)",
    )
    return len(visit_ids)


async def has_private(connection: AsyncConnection, place_ids: Sequence[str]) -> bool:
    """Whether private parts of a visit there are left."""
    return await _is_there(connection, {"places": list(place_ids)}, f"SELECT 1 FROM visit WHERE {_PRIVATE}")


_CLAIMS = "SELECT id FROM claim WHERE consignee_id = %(me)s AND ended_at IS NOT NULL"
_STOPS = f"""
    SELECT stop.id FROM stop WHERE stop.access_point_id = ANY(%(places)s) AND NOT {_TO_COME}
        AND NOT EXISTS (SELECT 1 FROM claim WHERE claim.stop_id = stop.id AND claim.ended_at IS NULL)
"""


async def forget_words(connection: AsyncConnection, consignee_id: str, place_ids: Sequence[str]) -> int:
    """What this person wrote in ratings and claims that have ended, and what was said of parcels' whereabouts."""
    return await _count(
        connection,
        {"me": consignee_id, "places": list(place_ids)},
        "UPDATE rating SET words = '' WHERE consignee_id = %(me)s AND words <> ''",
        f"UPDATE claim_step SET words = '' WHERE words <> '' AND claim_id IN ({_CLAIMS})",
        f"DELETE FROM claim_photo WHERE claim_id IN ({_CLAIMS})",
        f"DELETE FROM evidence WHERE claim_id IN ({_CLAIMS})",
        "UPDATE claim SET words = '', is_evidence_whole = true "
        "WHERE consignee_id = %(me)s AND ended_at IS NOT NULL AND (words <> '' OR NOT is_evidence_whole)",
        f"DELETE FROM fallback_photo WHERE stop_id IN ({_STOPS})",
        "UPDATE fallback_end SET told = '', photo = NULL WHERE (told <> '' OR photo IS NOT NULL) "
        f"AND stop_id IN ({_STOPS})",
    )


async def has_open_claims(connection: AsyncConnection, consignee_id: str, place_ids: Sequence[str]) -> bool:
    """Whether a claim of theirs, or about these places, is open."""
    return await _is_there(
        connection,
        {"me": consignee_id, "places": list(place_ids)},
        "SELECT 1 FROM claim WHERE ended_at IS NULL "
        "AND (consignee_id = %(me)s OR access_point_id = ANY(%(places)s))",
    )


async def is_address_needed(connection: AsyncConnection, access_point_id: str, now: datetime) -> bool:
    """Whether a visit, a watch, a recording on its way or a courier with its parcels still needs what a place is."""
    values = {"places": [access_point_id], "now": now, "grace": timedelta(seconds=FALLBACK_GRACE_S)}
    return await _is_there(
        connection,
        values,
        f"SELECT 1 FROM visit WHERE access_point_id = ANY(%(places)s) AND NOT {_IS_OVER} "
        f"UNION ALL SELECT 1 FROM stop WHERE access_point_id = ANY(%(places)s) AND {_TO_COME} "
        "AND window_until + %(grace)s > %(now)s",
    )


async def forget_place(connection: AsyncConnection, access_point_id: str, now: datetime) -> int:
    """What a closed place is: where, which car or door, what was read of it. Its row must be locked.

    Its cameras' secrets have been destroyed before (`store/cameras.remove_camera`).
    """
    unclaimed = (
        "stop_id IN (SELECT id FROM stop WHERE access_point_id = %(place)s AND NOT EXISTS "
        "(SELECT 1 FROM claim WHERE claim.stop_id = stop.id AND claim.ended_at IS NULL))"
    )
    return await _count(
        connection,
        {"place": access_point_id, "now": now},
        "DELETE FROM read_budget WHERE car = %(place)s OR car IN (SELECT encode(closure_key, 'hex') FROM vehicle "
        "WHERE access_point_id = %(place)s AND NOT EXISTS (SELECT 1 FROM vehicle other "
        "WHERE other.closure_key = vehicle.closure_key AND other.access_point_id <> %(place)s))",
        "DELETE FROM vehicle WHERE access_point_id = %(place)s",
        "DELETE FROM reading WHERE access_point_id = %(place)s",
        "DELETE FROM enrolment WHERE access_point_id = %(place)s",
        "DELETE FROM camera_feed WHERE camera_id IN (SELECT id FROM camera WHERE access_point_id = %(place)s)",
        "UPDATE camera SET name = '', clock = NULL WHERE access_point_id = %(place)s AND name <> ''",
        "UPDATE home SET directions = '', quiet_from = NULL, quiet_until = NULL, is_pet_loose = false "
        "WHERE access_point_id = %(place)s AND (directions <> '' OR quiet_from IS NOT NULL OR is_pet_loose)",
        "UPDATE deed SET body = body - 'camera' WHERE access_point_id = %(place)s AND body ? 'camera'",
        "UPDATE notice SET facts = facts - ARRAY['camera', 'place', 'told', 'who'] "
        f"WHERE access_point_id = %(place)s AND {_NAMED}",
        f"DELETE FROM duty WHERE {unclaimed} AND state NOT IN ('due', 'taken')",
        f"DELETE FROM preflight WHERE {unclaimed}",
        "UPDATE access_point SET latitude = 0, longitude = 0, name = '', from_local = NULL, until_local = NULL, "
        "blocked_by = '{}' WHERE id = %(place)s "
        "AND (latitude, longitude, name, blocked_by) <> (0, 0, '', '{}'::text[])",
    )


async def has_findings(connection: AsyncConnection, place_ids: Sequence[str]) -> bool:
    """Whether something that the day of a stop found there is left: an open claim holds it."""
    return await _is_there(
        connection,
        {"places": list(place_ids)},
        "SELECT 1 FROM preflight JOIN stop ON stop.id = stop_id WHERE stop.access_point_id = ANY(%(places)s)",
    )
