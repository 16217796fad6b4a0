"""A visit's journal as a file that anyone can verify offline (`domain/proof.py`), sealed with the platform's key.

The signing key is derived from the installation's secret key, so that there is one secret to keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg import AsyncConnection

from unlatch.domain.proof import Attachment, Entry, Hidden, Private, Signer, export_proof
from unlatch.flow.platform import Platform
from unlatch.store import consignees, journal, lines, looks
from unlatch.store.ids import make_id
from unlatch.store.journal import KeptEntry
from unlatch.store.lines import PhotoRow
from unlatch.store.looks import LookRow
from unlatch.store.visits import VisitRow

ENTRIES_AT_ONCE = 1000
MAX_ENTRIES = 20_000


@lru_cache(maxsize=4)
def _signer(secret_key: bytes) -> Signer:
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"unlatch proof of delivery").derive(
        secret_key
    )
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return Signer(public_key=key.public_key().public_bytes_raw(), sign=key.sign)


def find_signer(platform: Platform) -> Signer:
    """Who seals this installation's exports. Raises SettingsError."""
    return _signer(platform.settings.read_secret_key())


async def export_visit(platform: Platform, row: VisitRow, *, made_for: str, may_see_private: bool) -> bytes:
    """The proof of a visit. What this reader may not see is withheld; what was forgotten is erased.

    To see what is private (positions) is a look, and the consignee is shown it (A3).
    """
    async with platform.database.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if may_see_private:
            await looks.insert_look(connection, _look(row, made_for, platform.clock.now()))
        story = await read_story(connection, row, may_see_private=may_see_private)
    return seal_story(platform, story, made_for=made_for)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that a visit's proof is made of."""

    visit_id: str
    entries: list[tuple[Entry, Private | Hidden | None]]
    photos: list[PhotoRow]
    maker: str | None


async def read_story(connection: AsyncConnection, row: VisitRow, *, may_see_private: bool) -> Story:
    """A visit's journal and photos, as this reader may see them."""
    # Photos first: each was kept in the transaction of the entry that names it, so that entry is read as well.
    photos = await lines.list_photos(connection, row.id)
    entries: list[tuple[Entry, Private | Hidden | None]] = []
    while len(entries) < MAX_ENTRIES:
        kept = await journal.list_entries(connection, row.id, after=len(entries), limit=ENTRIES_AT_ONCE)
        entries += [(one.entry, _private(one, may_see_private=may_see_private)) for one in kept]
        if len(kept) < ENTRIES_AT_ONCE:
            break
    vehicle = await consignees.find_vehicle(connection, row.access_point_id)
    return Story(
        visit_id=row.id, entries=entries, photos=photos, maker=None if vehicle is None else vehicle.maker
    )


def seal_story(platform: Platform, story: Story, *, made_for: str) -> bytes:
    """The proof of a visit as a file."""
    return export_proof(
        visit_id=story.visit_id,
        exported_at=platform.clock.now(),
        made_for=made_for,
        entries=story.entries,
        signer=find_signer(platform),
        about={"maker": story.maker, "kind": "car"} if story.maker is not None else {},
        attachments=[
            Attachment(media_type=photo.media_type, content=bytes(photo.content)) for photo in story.photos
        ],
    )


def _look(row: VisitRow, who: str, at: datetime) -> LookRow:
    return LookRow(
        id=make_id("loo"),
        access_point_id=row.access_point_id,
        stop_id=row.stop_id,
        who=who,
        what="proof_with_positions",
        at=at,
    )


def _private(kept: KeptEntry, *, may_see_private: bool) -> Private | Hidden | None:
    if kept.entry.private_digest is None:
        return None
    if kept.private is None:
        return Hidden.ERASED
    return kept.private if may_see_private else Hidden.WITHHELD
