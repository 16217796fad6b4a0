"""Secrets at rest: each record has a data key of its own, and a master key wraps the data keys.

Both layers are AES-256-GCM. What a record is bound to (the id of its row) is associated data of both, so that
a sealed value that was moved to another row does not open. The layout, version 1:

    version (1) | key id (8) | nonce (12) | wrapped data key (32 + 16) | nonce (12) | content (n + 16)

The key id is a digest of the master key. To change the master key, give the new one first and the old ones
behind it: the first seals, all of them open, and `needs_resealing` finds what an old one had sealed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from unlatch.errors import SealBroken

KEY_BYTES = 32
MAX_PLAIN_BYTES = 256 * 1024
_VERSION = b"\x01"
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_TAG_BYTES = 16
_WRAPPED_AT = len(_VERSION) + _KEY_ID_BYTES + _NONCE_BYTES
_CONTENT_AT = _WRAPPED_AT + KEY_BYTES + _TAG_BYTES
_LEAST_BYTES = _CONTENT_AT + _NONCE_BYTES + _TAG_BYTES


class Vault:
    """Seals and opens. Its text shows no key."""

    def __init__(self, *master_keys: bytes) -> None:
        """The newest master key first; each has 32 bytes. Raises ValueError otherwise."""
        if not master_keys or any(len(key) != KEY_BYTES for key in master_keys):
            raise ValueError(f"a vault needs at least one master key, each of {KEY_BYTES} bytes")
        self._by_id = {_key_id(key): AESGCM(key) for key in master_keys}
        self._newest_id = _key_id(master_keys[0])
        self._digest_key = hmac.digest(master_keys[0], b"unlatch digests of what is sealed", "sha256")

    def __repr__(self) -> str:
        return f"Vault({len(self._by_id)} keys)"

    def seal(self, plain: bytes | Mapping[str, str], bound_to: str) -> bytes:
        """Encrypt `plain` for the row `bound_to`. A mapping becomes JSON; `open_mapping` gives it back."""
        content = plain if isinstance(plain, bytes) else msgspec.json.encode(dict(plain))
        if len(content) > MAX_PLAIN_BYTES:
            raise ValueError(f"at most {MAX_PLAIN_BYTES} bytes can be sealed at once")
        head = _VERSION + self._newest_id
        binding = head + bound_to.encode()
        data_key = AESGCM.generate_key(bit_length=8 * KEY_BYTES)
        key_nonce, nonce = secrets.token_bytes(_NONCE_BYTES), secrets.token_bytes(_NONCE_BYTES)
        wrapped = self._by_id[self._newest_id].encrypt(key_nonce, data_key, b"key" + binding)
        return head + key_nonce + wrapped + nonce + AESGCM(data_key).encrypt(nonce, content, b"row" + binding)

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        """What was sealed for the row `bound_to`; raises `SealBroken`."""
        if len(sealed) < _LEAST_BYTES or sealed[:1] != _VERSION:
            raise SealBroken("this is no sealed value, or one of a later release")
        key_id = sealed[1 : 1 + _KEY_ID_BYTES]
        master = self._by_id.get(key_id)
        if master is None:
            raise SealBroken("this value was sealed with a master key that was not given, or was altered")
        binding = sealed[: 1 + _KEY_ID_BYTES] + bound_to.encode()
        key_nonce = sealed[1 + _KEY_ID_BYTES : _WRAPPED_AT]
        nonce_end = _CONTENT_AT + _NONCE_BYTES
        try:
            data_key = master.decrypt(key_nonce, sealed[_WRAPPED_AT:_CONTENT_AT], b"key" + binding)
            return AESGCM(data_key).decrypt(
                sealed[_CONTENT_AT:nonce_end], sealed[nonce_end:], b"row" + binding
            )
        except InvalidTag:
            raise SealBroken("this value was altered, or belongs to another row") from None

    def open_mapping(self, sealed: bytes, bound_to: str) -> dict[str, str]:
        """The mapping that was sealed for the row `bound_to`; raises `SealBroken`."""
        try:
            return msgspec.json.decode(self.open(sealed, bound_to), type=dict[str, str])
        except msgspec.DecodeError:
            raise SealBroken("this sealed value holds no mapping") from None

    def digest(self, *words: str) -> bytes:
        """A keyed digest by which equal values are known as equal, and nothing else. Changes with the newest key."""
        return hmac.digest(self._digest_key, "\0".join(words).encode(), "sha256")

    def needs_resealing(self, sealed: bytes) -> bool:
        """Whether another than the newest master key had sealed this."""
        return sealed[1 : 1 + _KEY_ID_BYTES] != self._newest_id


def _key_id(master_key: bytes) -> bytes:
    return hashlib.sha256(b"unlatch master key id" + master_key).digest()[:_KEY_ID_BYTES]
