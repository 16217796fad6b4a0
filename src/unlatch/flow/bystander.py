"""The card that a courier shows to whoever asks what they do at that car: a link that is good for a few minutes.

Nothing is kept of it: the link bears the courier, its end and a keyed digest of both. It names neither the place nor
the consignee, and it can't be made for anyone by anyone else.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection

from unlatch.errors import NotFound
from unlatch.flow.platform import Platform
from unlatch.store import couriers
from unlatch.store.couriers import NameCard

CARD_LASTS_S = 600.0
COURIER = "cou"
_ID_BYTES, _TIME_BYTES, _DIGEST_BYTES = 16, 5, 15  # together a multiple of three: one way of writing it
_LENGTH = _ID_BYTES + _TIME_BYTES + _DIGEST_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A courier's card and the word in its link. `good_until` is real time."""

    name: NameCard
    word: str
    good_until: datetime


def _digest(platform: Platform, head: bytes) -> bytes:
    return platform.vault.digest("bystander's card", head.hex())[:_DIGEST_BYTES]


async def make_card(platform: Platform, connection: AsyncConnection, courier_id: str) -> Card:
    """A card of this courier, good from now on. Raises NotFound where they deliver no more."""
    name = await couriers.find_name_card(connection, courier_id)
    if name is None:
        raise NotFound("there is no such courier")
    good_until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=CARD_LASTS_S)
    head = bytes.fromhex(courier_id.partition("_")[2]) + int(good_until.timestamp()).to_bytes(_TIME_BYTES)
    word = urlsafe_b64encode(head + _digest(platform, head)).decode()
    return Card(name=name, word=word, good_until=good_until)


async def find_card(platform: Platform, connection: AsyncConnection, word: str) -> Card | None:
    """The card of a link; None where it was not made here, is over, or its courier delivers no more."""
    try:
        raw = urlsafe_b64decode(word)
    except (NotBase64, ValueError):
        return None
    head, digest = raw[: _ID_BYTES + _TIME_BYTES], raw[_ID_BYTES + _TIME_BYTES :]
    if (
        len(raw) != _LENGTH
        or urlsafe_b64encode(raw).decode() != word
        or not hmac.compare_digest(digest, _digest(platform, head))
    ):
        return None
    good_until = datetime.fromtimestamp(int.from_bytes(head[_ID_BYTES:]), UTC)
    if good_until <= datetime.now(UTC):
        return None
    name = await couriers.find_name_card(connection, f"{COURIER}_{head[:_ID_BYTES].hex()}")
    return None if name is None else Card(name=name, word=word, good_until=good_until)
