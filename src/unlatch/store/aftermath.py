"""What comes after a visit: ratings, claims with their steps and photos, and the evidence of each claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from unlatch.domain.claim import ClaimKind, ClaimStanding, ClaimState
from unlatch.domain.visit import Tail
from unlatch.store.household import PLACES
from unlatch.store.lines import PhotoRow

TAILS_THAT_ARE_OVER = (Tail.NONE.value, Tail.OVER.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingRow:
    """How one person found a visit."""

    visit_id: str
    consignee_id: str
    courier_id: str
    stars: int
    words: str
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingSums:
    """The ratings of a courier since a moment: how many of each number of stars, and by how many people."""

    stars: tuple[int, int, int, int, int]
    people: int

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.stars)


_RATING = ", ".join(RatingRow.__slots__)
_RATE = f"""
    -- One rating a person and visit: the first, or a change of it while it may be changed.
    INSERT INTO rating AS kept ({_RATING})
    VALUES (%(visit_id)s, %(consignee_id)s, %(courier_id)s, %(stars)s, %(words)s, %(now)s, %(now)s)
    ON CONFLICT (visit_id, consignee_id) DO UPDATE
        SET stars = excluded.stars, words = excluded.words, changed_at = excluded.changed_at
        WHERE kept.created_at > %(changeable_since)s
    RETURNING {_RATING}
"""
_SUMS = """
    SELECT count(*) FILTER (WHERE stars = 1), count(*) FILTER (WHERE stars = 2), count(*) FILTER (WHERE stars = 3),
        count(*) FILTER (WHERE stars = 4), count(*) FILTER (WHERE stars = 5), count(DISTINCT consignee_id)
    FROM rating WHERE courier_id = %s AND created_at > %s
"""


async def save_rating(
    connection: AsyncConnection,
    *,
    visit_id: str,
    consignee_id: str,
    courier_id: str,
    stars: int,
    words: str,
    now: datetime,
    changeable_since: datetime,
) -> RatingRow | None:
    """The rating as it is kept; None: there is one from before `changeable_since`, which stays as it is."""
    values = {
        "visit_id": visit_id,
        "consignee_id": consignee_id,
        "courier_id": courier_id,
        "stars": stars,
        "words": words,
        "now": now,
        "changeable_since": changeable_since,
    }
    async with connection.cursor(row_factory=class_row(RatingRow)) as cursor:
        await cursor.execute(_RATE.encode(), values)
        return await cursor.fetchone()


async def list_ratings(connection: AsyncConnection, visit_id: str, *, limit: int = 100) -> list[RatingRow]:
    """The ratings of a visit, the first first."""
    async with connection.cursor(row_factory=class_row(RatingRow)) as cursor:
        await cursor.execute(
            f"SELECT {_RATING} FROM rating WHERE visit_id = %s ORDER BY created_at, consignee_id LIMIT %s".encode(),
            (visit_id, limit),
        )
        return await cursor.fetchall()


async def sum_ratings(connection: AsyncConnection, courier_id: str, since: datetime) -> RatingSums:
    """The ratings of a courier after `since`."""
    cursor = await connection.execute(_SUMS, (courier_id, since))
    row = await cursor.fetchone()
    assert row is not None
    one, two, three, four, five, people = row
    return RatingSums(stars=(one, two, three, four, five), people=people)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRow:
    """One claim. `visit_id` None: about the stop as a whole."""

    id: str
    stop_id: str
    visit_id: str | None
    access_point_id: str
    carrier_id: str
    courier_id: str | None
    consignee_id: str
    kind: ClaimKind
    state: ClaimState
    words: str
    is_accepted: bool | None
    has_courier_word: bool
    steps: int
    opened_at: datetime
    due_at: datetime | None
    ended_at: datetime | None
    is_evidence_whole: bool

    @property
    def standing(self) -> ClaimStanding:
        """What the table of the domain knows of it."""
        return ClaimStanding(
            state=self.state,
            due_at=self.due_at,
            is_accepted=self.is_accepted,
            has_courier_word=self.has_courier_word,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimStepRow:
    """One step of a claim, for good."""

    claim_id: str
    number: int
    at: datetime
    who: str
    what: str
    state: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRow:
    """A bundle, without its content."""

    claim_id: str
    number: int
    sha256: bytes
    size: int
    made_at: datetime


_CLAIM_NAMES = ClaimRow.__slots__
_CLAIM = ", ".join(f"claim.{name}" for name in _CLAIM_NAMES)
_INSERT_CLAIM = f"""
    -- Of two at once about the same, by the same person, the second finds the first.
    INSERT INTO claim ({", ".join(_CLAIM_NAMES)}) VALUES ({", ".join(f"%({name})s" for name in _CLAIM_NAMES)})
    ON CONFLICT DO NOTHING RETURNING id
"""
_UPDATE_CLAIM = """
    UPDATE claim SET state = %(state)s, is_accepted = %(is_accepted)s, has_courier_word = %(has_courier_word)s,
        due_at = %(due_at)s, ended_at = %(ended_at)s, steps = %(steps)s, is_evidence_whole = %(is_evidence_whole)s
    WHERE id = %(id)s
"""
_LIST = f"""
    -- One reader's claims, the newest first.
    SELECT {_CLAIM} FROM claim
    WHERE (%(carrier_id)s::text IS NULL OR carrier_id = %(carrier_id)s)
      AND (%(courier_id)s::text IS NULL OR courier_id = %(courier_id)s)
      AND (%(consignee_id)s::text IS NULL OR access_point_id IN ({PLACES}))
      AND (%(state)s::text IS NULL OR state = %(state)s)
      AND id < %(before)s
    ORDER BY id DESC LIMIT %(limit)s
"""
_LOCK_DUE = f"""
    -- The claim whose time was up longest ago and that nobody else has in hand.
    SELECT {_CLAIM} FROM claim WHERE due_at <= %s AND state <> 'escalated'
    ORDER BY due_at LIMIT 1 OFFSET %s FOR NO KEY UPDATE SKIP LOCKED
"""
_LOCK_UNFINISHED = f"""
    -- A claim whose bundle was made while a visit of it was not over, and now all of them are.
    SELECT {_CLAIM} FROM claim
    WHERE NOT is_evidence_whole AND (evidence_tried_at IS NULL OR evidence_tried_at < %(tried_before)s)
      AND NOT EXISTS (
        SELECT 1 FROM visit WHERE visit.stop_id = claim.stop_id
          AND (claim.visit_id IS NULL OR visit.id = claim.visit_id)
          AND (visit.ended_at IS NULL OR NOT visit.tail = ANY(%(over)s)))
    ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
"""
# Of the row `visit`: whether an open claim is about it, or about its stop as a whole.
HELD_BY_CLAIM = """
    EXISTS (SELECT 1 FROM claim WHERE claim.stop_id = visit.stop_id AND claim.ended_at IS NULL
        AND (claim.visit_id IS NULL OR claim.visit_id = visit.id))
"""
_IS_HELD = f"SELECT {HELD_BY_CLAIM} FROM visit WHERE id = %s"


def _claim_row(row: dict[str, Any]) -> ClaimRow:
    return ClaimRow(**{**row, "kind": ClaimKind(row["kind"]), "state": ClaimState(row["state"])})


async def _list_claims(connection: AsyncConnection, query: str, values: Any) -> list[ClaimRow]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query.encode(), values)
        return [_claim_row(row) for row in await cursor.fetchall()]


async def _find_claim(connection: AsyncConnection, query: str, values: Any) -> ClaimRow | None:
    return next(iter(await _list_claims(connection, query, values)), None)


async def insert_claim(connection: AsyncConnection, row: ClaimRow) -> bool:
    """A new claim; False where this person has an open one of that kind about the same."""
    cursor = await connection.execute(
        _INSERT_CLAIM.encode(), {name: getattr(row, name) for name in _CLAIM_NAMES}
    )
    return await cursor.fetchone() is not None


async def update_claim(connection: AsyncConnection, row: ClaimRow) -> None:
    """Save what a step has changed. The claim's row must be locked."""
    await connection.execute(_UPDATE_CLAIM, {name: getattr(row, name) for name in _CLAIM_NAMES})


async def find_claim(
    connection: AsyncConnection, claim_id: str, *, is_locked: bool = False
) -> ClaimRow | None:
    """A claim; locked for this transaction if wanted."""
    lock = " FOR NO KEY UPDATE" if is_locked else ""
    return await _find_claim(connection, f"SELECT {_CLAIM} FROM claim WHERE id = %s{lock}", (claim_id,))


async def list_claims(
    connection: AsyncConnection,
    *,
    carrier_id: str | None = None,
    courier_id: str | None = None,
    consignee_id: str | None = None,
    state: ClaimState | None = None,
    before: str,
    limit: int,
) -> list[ClaimRow]:
    """The claims of a carrier, about a courier, or at the places of a consignee's households, newest first."""
    values = {
        "carrier_id": carrier_id,
        "courier_id": courier_id,
        "consignee_id": consignee_id,
        "state": state,
        "before": before,
        "limit": limit,
    }
    return await _list_claims(connection, _LIST, values)


async def list_escalated(connection: AsyncConnection, *, limit: int) -> list[ClaimRow]:
    """What waits for a person's ruling, the longest waiting first."""
    query = f"SELECT {_CLAIM} FROM claim WHERE state = 'escalated' ORDER BY due_at, id LIMIT %s"
    return await _list_claims(connection, query, (limit,))


async def count_claims(
    connection: AsyncConnection, *, stop_id: str, visit_id: str | None, consignee_id: str
) -> int:
    """How many claims this person has opened about this visit, or about this stop as a whole."""
    cursor = await connection.execute(
        "SELECT count(*) FROM claim WHERE stop_id = %s AND visit_id IS NOT DISTINCT FROM %s AND consignee_id = %s",
        (stop_id, visit_id, consignee_id),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def lock_next_due_claim(
    connection: AsyncConnection, now: datetime, *, passing_over: int = 0
) -> ClaimRow | None:
    """The claim whose time was up longest ago, locked; None: none is, or another has it in hand."""
    return await _find_claim(connection, _LOCK_DUE, (now, passing_over))


async def lock_next_without_end(connection: AsyncConnection, *, tried_before: datetime) -> ClaimRow | None:
    """A claim that is due its second bundle, locked; those that failed since `tried_before` wait."""
    values = {"over": list(TAILS_THAT_ARE_OVER), "tried_before": tried_before}
    return await _find_claim(connection, _LOCK_UNFINISHED, values)


async def set_evidence_tried(connection: AsyncConnection, claim_id: str, at: datetime) -> None:
    """A second bundle could not be made: others come first."""
    await connection.execute("UPDATE claim SET evidence_tried_at = %s WHERE id = %s", (at, claim_id))


async def insert_claim_step(connection: AsyncConnection, row: ClaimStepRow) -> None:
    """Write a step down, for good."""
    await connection.execute(
        "INSERT INTO claim_step (claim_id, number, at, who, what, state, words) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (row.claim_id, row.number, row.at, row.who, row.what, row.state, row.words),
    )


async def list_claim_steps(connection: AsyncConnection, claim_ids: Sequence[str]) -> list[ClaimStepRow]:
    """The steps of these claims, each in order."""
    async with connection.cursor(row_factory=class_row(ClaimStepRow)) as cursor:
        await cursor.execute(
            "SELECT * FROM claim_step WHERE claim_id = ANY(%s) ORDER BY claim_id, number", (list(claim_ids),)
        )
        return await cursor.fetchall()


async def insert_claim_photo(connection: AsyncConnection, claim_id: str, photo: PhotoRow) -> None:
    """A photo of the claimant; the same one twice is kept once."""
    await connection.execute(
        "INSERT INTO claim_photo (claim_id, sha256, media_type, content) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (claim_id, photo.sha256, photo.media_type, photo.content),
    )


async def list_claim_photos(connection: AsyncConnection, claim_id: str) -> list[PhotoRow]:
    """The claimant's photos."""
    async with connection.cursor(row_factory=class_row(PhotoRow)) as cursor:
        await cursor.execute(
            "SELECT sha256, media_type, content FROM claim_photo WHERE claim_id = %s ORDER BY sha256",
            (claim_id,),
        )
        return await cursor.fetchall()


async def list_claim_photo_names(
    connection: AsyncConnection, claim_ids: Sequence[str]
) -> list[tuple[str, str]]:
    """Claim and SHA-256 (hexadecimal) of the photos of these claims."""
    cursor = await connection.execute(
        "SELECT claim_id, encode(sha256, 'hex') FROM claim_photo WHERE claim_id = ANY(%s) ORDER BY 1, 2",
        (list(claim_ids),),
    )
    return [(claim_id, digest) for claim_id, digest in await cursor.fetchall()]


async def insert_evidence(
    connection: AsyncConnection,
    claim_id: str,
    number: int,
    *,
    sha256: bytes,
    content: bytes,
    made_at: datetime,
) -> None:
    """Keep a bundle as it is."""
    await connection.execute(
        "INSERT INTO evidence (claim_id, number, sha256, content, made_at) VALUES (%s, %s, %s, %s, %s)",
        (claim_id, number, sha256, content, made_at),
    )


async def list_evidence(connection: AsyncConnection, claim_ids: Sequence[str]) -> list[EvidenceRow]:
    """The bundles of these claims, without their content, each claim's in order."""
    async with connection.cursor(row_factory=class_row(EvidenceRow)) as cursor:
        await cursor.execute(
            "SELECT claim_id, number, sha256, length(content) AS size, made_at FROM evidence "
            "WHERE claim_id = ANY(%s) ORDER BY claim_id, number",
            (list(claim_ids),),
        )
        return await cursor.fetchall()


async def find_evidence(
    connection: AsyncConnection, claim_id: str, number: int | None
) -> tuple[int, bytes, bytes] | None:
    """Number, SHA-256 and content of a bundle; without a number, of the latest."""
    cursor = await connection.execute(
        "SELECT number, sha256, content FROM evidence WHERE claim_id = %s AND (%s::int IS NULL OR number = %s) "
        "ORDER BY number DESC LIMIT 1",
        (claim_id, number, number),
    )
    row = await cursor.fetchone()
    return None if row is None else (row[0], bytes(row[1]), bytes(row[2]))


async def is_held(connection: AsyncConnection, visit_id: str) -> bool:
    """Whether an open claim holds what is known of this visit: nothing of it may be forgotten yet."""
    cursor = await connection.execute(_IS_HELD.encode(), (visit_id,))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def find_fallback_end(connection: AsyncConnection, stop_id: str) -> datetime | None:
    """When the last parcel of a stop went to its fallback."""
    cursor = await connection.execute("SELECT max(at) FROM fallback_end WHERE stop_id = %s", (stop_id,))
    row = await cursor.fetchone()
    return None if row is None else row[0]
