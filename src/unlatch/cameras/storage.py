"""Where clips lie: on a disk or in any S3-compatible store, each encrypted with a key of its own.

The layout, version 1, made to be read from any place and to show any touch:

    "UNLATCHC" (8) | version (1) | chunk size (4) | random (7) | chunks: content (chunk size), AES-256-GCM, + tag (16)

Chunk n has the nonce random | n (4) | whether it is the last (1), so that chunks can't be swapped, left out or cut off
at the end; the head and the clip's id are associated data of each. A key is used for one clip, and never shown: the
store room keeps it sealed (`store/vault.py`), and destroying it is erasing the clip, wherever copies of it lie.
"""

from __future__ import annotations

import re
import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import obstore
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

from unlatch.domain.clip import Part, Place, parts_between
from unlatch.errors import ClipDamaged, RecordingError

KEY_BYTES = 32
CHUNK_BYTES = 64 * 1024
MAX_CLIP_BYTES = 4 * 1024**3
MAX_READ_BYTES = 16 * 1024 * 1024
_MAGIC = b"UNLATCHC\x01"
_RANDOM_BYTES = 7
_TAG_BYTES = 16
_HEAD_BYTES = len(_MAGIC) + 4 + _RANDOM_BYTES
_CLIP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def new_key() -> bytes:
    """A key for one clip."""
    return AESGCM.generate_key(bit_length=8 * KEY_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """A bucket of an S3-compatible store."""

    bucket: str
    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str


def open_store(place: Path | S3Place | None) -> ObjectStore:
    """A folder, a bucket, or (None) memory. Nothing is asked of it yet."""
    if place is None:
        return MemoryStore()
    if isinstance(place, Path):
        return LocalStore(place, mkdir=True)
    return S3Store(
        place.bucket,
        endpoint=place.endpoint,
        region=place.region,
        access_key_id=place.access_key_id,
        secret_access_key=place.secret_access_key,
        client_options={"allow_http": place.endpoint.startswith("http://"), "timeout": "30s"},
        retry_config={"max_retries": 3},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What stands before the chunks."""

    content: bytes
    chunk: int
    random: bytes

    def nonce(self, number: int, *, is_last: bool) -> bytes:
        return self.random + struct.pack(">IB", number, is_last)


class ClipStore:
    """Keeps clips by id. Blocks; errors: RecordingError (disk: the store refuses), ClipDamaged."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, clip_id: str, key: bytes, path: Path) -> int:
        """Encrypt the file and keep it, whole or not at all, in place of one of that id; how many bytes lie there."""
        size = path.stat().st_size
        if size > MAX_CLIP_BYTES:
            raise RecordingError("a clip has at most four gigabytes", code="too_long")
        name = _name_of(clip_id)
        try:
            obstore.put(self._store, name, _encrypted(path, size, key, clip_id))
            kept = obstore.head(self._store, name)["size"]
        except (BaseError, OSError) as error:
            raise RecordingError("the clip can't be kept: its store refuses", code="disk") from error
        if kept != _HEAD_BYTES + size + _count(size, CHUNK_BYTES) * _TAG_BYTES:
            raise RecordingError("the clip was not kept whole", code="disk")
        return kept

    def size(self, clip_id: str) -> int:
        """Bytes of the clip itself."""
        _, size = self._open(clip_id)
        return size

    def read(
        self, clip_id: str, key: bytes, offset: int, size: int, places: Sequence[Part | Place] = ()
    ) -> bytes:
        """A range of the clip; shorter at its end. Raises ClipDamaged, which names the touched parts by `places`."""
        if not (offset >= 0 and 0 <= size <= MAX_READ_BYTES):
            raise RecordingError(f"at most {MAX_READ_BYTES} bytes are read at once", code="too_large")
        head, whole = self._open(clip_id)
        end = min(offset + size, whole)
        if offset >= end:
            return b""
        first, last = offset // head.chunk, (end - 1) // head.chunk
        pieces, broken = [], []
        for number, content in self._chunks(clip_id, key, head, whole, first, last):
            if content is None:
                begin = number * head.chunk
                broken.append((begin, min(begin + head.chunk, whole)))
            else:
                pieces.append(content)
        if broken:
            parts = sorted({part for begin, stop in broken for part in parts_between(places, begin, stop)})
            raise ClipDamaged(
                f"bytes {broken[0][0]} to {broken[0][1]} of clip {clip_id} are not what was kept",
                parts=tuple(parts),
            )
        begin = first * head.chunk
        return b"".join(pieces)[offset - begin : end - begin]

    def find_damage(self, clip_id: str, key: bytes, places: Sequence[Part | Place]) -> tuple[int, ...]:
        """The numbers of the parts of which a byte was touched, the whole clip read once; empty: it is whole."""
        touched: set[int] = set()
        whole, offset = self.size(clip_id), 0
        step = MAX_READ_BYTES // CHUNK_BYTES // 4 * CHUNK_BYTES
        while offset < whole:
            try:
                self.read(clip_id, key, offset, step, places)
            except ClipDamaged as damage:
                if not damage.parts:
                    raise  # outside of every part: in the file's own head
                touched |= set(damage.parts)
            offset += step
        return tuple(sorted(touched))

    def forget(self, clip_id: str) -> None:
        """Delete it. That it is gone is proven by `exists`; that copies are of no use, by its key's end."""
        try:
            if self.exists(clip_id):
                obstore.delete(self._store, _name_of(clip_id))
        except FileNotFoundError:
            pass
        except BaseError as error:
            raise RecordingError("the clip can't be deleted: its store refuses", code="disk") from error

    def exists(self, clip_id: str) -> bool:
        """Whether it lies there."""
        try:
            obstore.head(self._store, _name_of(clip_id))
        except FileNotFoundError:
            return False
        except BaseError as error:
            raise RecordingError("the store of clips does not answer", code="disk") from error
        return True

    def _open(self, clip_id: str) -> tuple[_Head, int]:
        """The head of what lies there, and the clip's own size."""
        name = _name_of(clip_id)
        try:
            kept = obstore.head(self._store, name)["size"]
            is_long = kept >= _HEAD_BYTES
            content = (
                bytes(obstore.get_range(self._store, name, start=0, length=_HEAD_BYTES)) if is_long else b""
            )
        except FileNotFoundError:
            raise ClipDamaged(f"clip {clip_id} is not there") from None
        except BaseError as error:
            raise RecordingError("the store of clips does not answer", code="disk") from error
        if not content.startswith(_MAGIC):
            raise ClipDamaged(f"what is kept as {clip_id} is no clip, or one of a later release")
        (chunk,) = struct.unpack_from(">I", content, len(_MAGIC))
        if not 1024 <= chunk <= 4 * 1024 * 1024:
            raise ClipDamaged(f"the head of clip {clip_id} was touched")
        body = kept - _HEAD_BYTES
        size = body - -(-body // (chunk + _TAG_BYTES)) * _TAG_BYTES
        return _Head(content=content, chunk=chunk, random=content[-_RANDOM_BYTES:]), max(0, size)

    def _chunks(
        self, clip_id: str, key: bytes, head: _Head, whole: int, first: int, last: int
    ) -> Iterator[tuple[int, bytes | None]]:
        """Chunks `first` to `last`, decrypted; None where one was touched."""
        step = head.chunk + _TAG_BYTES
        end = min(
            _HEAD_BYTES + (last + 1) * step, _HEAD_BYTES + whole + _count(whole, head.chunk) * _TAG_BYTES
        )
        start = _HEAD_BYTES + first * step
        try:
            sealed = bytes(obstore.get_range(self._store, _name_of(clip_id), start=start, end=end))
        except (BaseError, OSError) as error:
            raise RecordingError("the store of clips does not answer", code="disk") from error
        cipher, final = AESGCM(key), _count(whole, head.chunk) - 1
        for number in range(first, last + 1):
            chunk = sealed[(number - first) * step : (number - first + 1) * step]
            nonce = head.nonce(number, is_last=number == final)
            try:
                yield number, cipher.decrypt(nonce, chunk, head.content + clip_id.encode())
            except (InvalidTag, ValueError):
                yield number, None


def _encrypted(path: Path, size: int, key: bytes, clip_id: str) -> Iterator[bytes]:
    """The head, then chunk by chunk: a clip of any length needs the memory of one."""
    random = secrets.token_bytes(_RANDOM_BYTES)
    head = _Head(content=_MAGIC + struct.pack(">I", CHUNK_BYTES) + random, chunk=CHUNK_BYTES, random=random)
    yield head.content
    cipher, final = AESGCM(key), _count(size, CHUNK_BYTES) - 1
    with path.open("rb") as file:
        for number in range(final + 1):
            content = file.read(CHUNK_BYTES)
            nonce = head.nonce(number, is_last=number == final)
            yield cipher.encrypt(nonce, content, head.content + clip_id.encode())


def _count(size: int, chunk: int) -> int:
    """How many chunks: one at least, so that an empty clip can't be taken for one that was cut off."""
    return max(1, -(-size // chunk))


def _name_of(clip_id: str) -> str:
    if not _CLIP_ID.fullmatch(clip_id):
        raise RecordingError("a clip's id has letters, digits, _ and - alone", code="damaged")
    return f"clips/{clip_id}.clip"
