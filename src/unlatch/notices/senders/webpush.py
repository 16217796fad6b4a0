"""Web push: encrypted for one browser (RFC 8291, aes128gcm), signed with our own key (VAPID, RFC 8292), sent to the
push service that the browser has chosen (RFC 8030).

What the push service sees: its endpoint, our public key, a size, how urgent it is. The content is padded to a multiple
of 256 bytes, so that not even its length says what it is.

A repeat has the same Topic: it takes the place of what still waits there. What was handed to the browser already has
the same tag, by which the page shows it once.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import http_ece
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey

from unlatch.notices.base import Address, Letter, NotDelivered
from unlatch.notices.outward import Outward

LIVES_S = 12 * 3600  # how long a push service keeps what it can't hand over
URGENT_LIVES_S = 48 * 3600
TOKEN_LIVES_S = 6 * 3600  # at most 24 h are allowed
TOKENS_MAX = 256
PADDED_TO_BYTES = 256
MAX_CONTENT_BYTES = 3072  # a push service takes at least 4096 bytes with all that is around them
POINT_BYTES, AUTH_BYTES = 65, 16


class VapidKey:
    """Our own key, by which push services know us. Its text shows no secret."""

    def __init__(self, private: bytes) -> None:
        """`private`: the 32 bytes of a P-256 key. Raises ValueError."""
        self._private = ec.derive_private_key(int.from_bytes(private), ec.SECP256R1())
        public = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public = encode(public)
        self._key = ECKey.import_key(self._private)

    def __repr__(self) -> str:
        return f"VapidKey({self.public})"

    def sign(self, origin: str, subject: str, now_s: float) -> str:
        """A token for the push service at `origin`."""
        claims = {"aud": origin, "exp": int(now_s) + TOKEN_LIVES_S, "sub": subject}
        return jwt.encode({"typ": "JWT", "alg": "ES256"}, claims, self._key)


class WebPushSender:
    """Every push service there is."""

    def __init__(self, key: VapidKey, *, subject: str, outward: Outward) -> None:
        """`subject`: how a push service reaches us, mailto:... or https://..."""
        self.key = key
        self._subject = subject
        self._outward = outward
        self._tokens: dict[str, tuple[str, float]] = {}

    async def send(self, address: Address, letter: Letter) -> None:
        """One message. Raises `NotDelivered`."""
        endpoint = address["endpoint"]
        headers = {
            "authorization": f"vapid t={self._token(endpoint)}, k={self.key.public}",
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(URGENT_LIVES_S if letter.is_urgent else LIVES_S),
            "urgency": "high" if letter.is_urgent else "normal",
            "topic": letter.once_id,
        }
        answer = await self._outward.post(endpoint, headers=headers, content=encrypt(address, letter))
        if 200 <= answer.status < 300:
            return
        if answer.status in (404, 410):
            raise NotDelivered("the browser has ended its subscription", is_gone=True)
        # 400, 401, 403, 413: our own fault, or a subscription that was made for another key. Not the same again.
        may_be_retried = (
            answer.status >= 500 or answer.status in (408, 425, 429) or 300 <= answer.status < 400
        )
        raise NotDelivered(f"the push service answers {answer.status}", may_be_retried=may_be_retried)

    async def close(self) -> None:
        """The connections are the outward's."""

    def _token(self, endpoint: str) -> str:
        """One token per push service, used again for half of its life."""
        parts = urlsplit(endpoint)
        origin, now_s = f"{parts.scheme}://{parts.netloc}", time.time()
        kept = self._tokens.get(origin)
        if kept is None or kept[1] < now_s:
            if len(self._tokens) >= TOKENS_MAX:
                self._tokens.clear()
            kept = self.key.sign(origin, self._subject, now_s), now_s + TOKEN_LIVES_S / 2
            self._tokens[origin] = kept
        return kept[0]


def encrypt(address: Address, letter: Letter) -> bytes:
    """What this browser alone can read. Raises `NotDelivered` where its keys can't be used."""
    shown = {
        "tag": letter.notice_id,
        "event": letter.event,
        "title": letter.subject,
        "body": letter.body,
        "lang": letter.language.value,
        "urgent": letter.is_urgent,
        "told_at": letter.told_at,
        "stop_id": letter.data.get("stop_id"),  # what a tap leads to
    }
    plain = msgspec.json.encode(shown)
    if len(plain) > MAX_CONTENT_BYTES:
        shown["body"] = letter.body[:500] + "…"
        plain = msgspec.json.encode(shown)
    plain += b" " * (-len(plain) % PADDED_TO_BYTES)  # blanks behind JSON mean nothing
    public, auth = read_keys(address)
    encrypted: bytes = http_ece.encrypt(
        plain,
        salt=os.urandom(16),
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=public,
        auth_secret=auth,
        version="aes128gcm",
    )
    return encrypted


def read_keys(address: Mapping[str, str]) -> tuple[bytes, bytes]:
    """A subscription's public point and secret. Raises `NotDelivered` where they can't be."""
    try:
        public, auth = decode(address["p256dh"]), decode(address["auth"])
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
    except (ValueError, KeyError):
        raise NotDelivered("the subscription's keys can't be used", is_gone=True) from None
    if len(public) != POINT_BYTES or len(auth) != AUTH_BYTES:
        raise NotDelivered("the subscription's keys can't be used", is_gone=True)
    return public, auth


def encode(given: bytes) -> str:
    """base64url without padding, as browsers write it."""
    return base64.urlsafe_b64encode(given).rstrip(b"=").decode()


def decode(given: str) -> bytes:
    """Raises ValueError."""
    try:
        return base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
