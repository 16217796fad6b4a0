"""A visit's journal as a file that anyone can verify offline (`domain/proof.py`), sealed with the platform's key.

The signing key is derived from the installation's secret key, so that there is one secret to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg import AsyncConnection

from unlatch.domain.clip_chain import CLIP_KEPT
from unlatch.domain.clip_parts import CLIP_PARTS_TYPE
from unlatch.domain.proof import Attachment, Entry, Hidden, Private, Signer, export_proof
from unlatch.flow.platform import Platform
from unlatch.store import clips, consignees, journal, lines, looks
from unlatch.store.ids import make_id
from unlatch.store.journal import KeptEntry
from unlatch.store.lines import PhotoRow
from unlatch.store.looks import LookRow
from unlatch.store.visits import VisitRow

ENTRIES_AT_ONCE = 1000
MAX_ENTRIES = 20_000
MAX_DOCUMENTS_BYTES = (
    20 * 2**20
)  # of clips' parts: with rows and photos, a proof stays below what is verified


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
    is_recorded: bool = False  # a home
    documents: tuple[tuple[str, bytes], ...] = ()  # clip, and its parts
    without_parts: tuple[str, ...] = ()  # clips whose parts had no room

    def without_documents(self) -> Story:
        """The same without the parts of clips: where there is no room for them, the proof comes first."""
        left_out = (*self.without_parts, *(clip_id for clip_id, _ in self.documents))
        return replace(self, documents=(), without_parts=left_out)


async def read_story(connection: AsyncConnection, row: VisitRow, *, may_see_private: bool) -> Story:
    """A visit's journal and photos, as this reader may see them."""
    # Photos first: each was kept in the transaction of the entry that names it, so that entry is read as well.
    photos = await lines.list_photos(connection, row.id)
    kept = await clips.list_documents(connection, row.id)
    entries: list[tuple[Entry, Private | Hidden | None]] = []
    while len(entries) < MAX_ENTRIES:
        page = await journal.list_entries(connection, row.id, after=len(entries), limit=ENTRIES_AT_ONCE)
        entries += [(one.entry, _private(one, may_see_private=may_see_private)) for one in page]
        if len(page) < ENTRIES_AT_ONCE:
            break
    documents, without_parts = _choose_documents(kept, entries)
    vehicle = await consignees.find_vehicle(connection, row.access_point_id)
    return Story(
        visit_id=row.id,
        entries=entries,
        photos=photos,
        maker=None if vehicle is None else vehicle.maker,
        is_recorded=row.visit.is_recorded,
        documents=documents,
        without_parts=without_parts,
    )


def _choose_documents(
    kept: Sequence[tuple[str, bytes]], entries: Sequence[tuple[Entry, Private | Hidden | None]]
) -> tuple[tuple[tuple[str, bytes], ...], tuple[str, ...]]:
    """The parts of the visit's clips, as far as there is room; and the clips whose parts are left out.

    Only those that a row names: a proof holds nothing that its chain does not vouch for.
    """
    named = {entry.body.get("parts_sha256") for entry, _ in entries if entry.name == CLIP_KEPT}
    taken: list[tuple[str, bytes]] = []
    left_out: list[str] = []
    room = MAX_DOCUMENTS_BYTES
    for clip_id, document in kept:
        if len(document) <= room and sha256(document).hexdigest() in named:
            room -= len(document)
            taken.append((clip_id, document))
        else:
            left_out.append(clip_id)
    return tuple(taken), tuple(left_out)


def seal_story(platform: Platform, story: Story, *, made_for: str) -> bytes:
    """The proof of a visit as a file, with the parts of its clips: whoever has a clip can check it against them."""
    about: dict[str, object] = {}
    if story.maker is not None:
        about = {"maker": story.maker, "kind": "home" if story.is_recorded else "car"}
    if story.without_parts:
        about["clips_without_parts"] = list(story.without_parts)
    attachments = [
        Attachment(media_type=photo.media_type, content=bytes(photo.content)) for photo in story.photos
    ]
    documents = dict.fromkeys(document for _, document in story.documents)  # equal ones are one attachment
    attachments += [Attachment(media_type=CLIP_PARTS_TYPE, content=document) for document in documents]
    return export_proof(
        visit_id=story.visit_id,
        exported_at=platform.clock.now(),
        made_for=made_for,
        entries=story.entries,
        signer=find_signer(platform),
        about=about,
        attachments=attachments,
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
