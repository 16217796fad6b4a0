"""A realistic visit's journal and its export, for the tests of proofs."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from unlatch.domain.proof import (
    Attachment,
    Entry,
    Hidden,
    Kind,
    Private,
    Signer,
    export_proof,
    next_entry,
    seal_private,
)

VISIT_ID = "0193a0a0-7c00-7000-8000-000000000001"
BEGAN_AT = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC_KEY = KEY.public_key().public_bytes_raw()
PHOTO = bytes(range(256)) * 2 + b"\xff\xd9"
CLIP = b"a clip, or rather its first bytes"

Shown = tuple[Entry, Private | Hidden | None]


def signer_of(key: Ed25519PrivateKey) -> Signer:
    return Signer(public_key=key.public_key().public_bytes_raw(), sign=key.sign)


def journal(length: int = 37, visit_id: str = VISIT_ID) -> list[Shown]:
    """Rows as a visit writes them: facts, readings with a private position, orders, photos."""
    shown: list[Shown] = []
    for index in range(length):
        kind, name, who, body, private = _row(index)
        salt = sha256(f"{visit_id} {index}".encode()).digest()[:16]
        previous = (shown[-1][0].number, shown[-1][0].hash) if shown else None
        entry = next_entry(
            visit_id,
            previous,
            BEGAN_AT + timedelta(seconds=3.017 * index),
            kind=kind,
            name=name,
            who=who,
            body=body,
            private_digest=None if private is None else seal_private(private, salt),
        )
        disclosed: Private | Hidden | None = None
        if private is not None:
            hidden = {0: Hidden.ERASED, 1: Hidden.WITHHELD}.get(index // 5 % 4)
            disclosed = hidden or Private(salt=salt, body=private)
        shown.append((entry, disclosed))
    return shown


def _row(index: int) -> tuple[Kind, str, str, dict[str, Any], dict[str, Any] | None]:
    if index == 6:
        body: dict[str, Any] = {"photo": sha256(PHOTO).hexdigest(), "taken_at": "2026-11-22T10:00:18.250000Z"}
        return Kind.FACT, "courier_deposited", "courier:7b1e", body, None
    if index == 7:
        return Kind.NOTE, "clip_cut", "platform", {"clips": [{"sha256": sha256(CLIP).hexdigest()}]}, None
    if index % 5 == 0:
        body = {"is_locked": index % 2 == 0, "is_open": None, "says": "trunk geschloßen — Käfer 🚗"}
        private = {"accuracy_m": 5, "latitude": "41.878113", "longitude": "-87.629799", "plate": "ABC 123"}
        return Kind.READING, "seen_locked", "cloud:onstar", body, private
    return Kind.ORDER, "watch", "platform", {"state": "unlocking", "for_s": index}, None


def export(
    shown: list[Shown] | None = None,
    *,
    key: Ed25519PrivateKey = KEY,
    visit_id: str = VISIT_ID,
    attachments: tuple[Attachment, ...] | None = None,
) -> bytes:
    """An export; by default of 40 lines: header, 37 rows, one photo, seal."""
    if attachments is None:
        attachments = (Attachment(media_type="image/jpeg", content=PHOTO),)
    return export_proof(
        visit_id=visit_id,
        exported_at=BEGAN_AT + timedelta(hours=1),
        made_for="consignee",
        entries=journal() if shown is None else shown,
        signer=signer_of(key),
        about={"carrier": "Parcel & Sons", "kind": "car"},
        attachments=attachments,
    )


def base64_of(content: bytes) -> str:
    return b64encode(content).decode()
