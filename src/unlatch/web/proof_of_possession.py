"""Proofs that a request comes from the key that its token was given to (DPoP, RFC 9449, section 4.3).

A phone keeps a private key that never leaves it and signs a small JWT for each request: method, address,
time, a number used once and the hash of its token. A stolen token is worth nothing without the phone.

The time is given, and whether the number was used before is asked elsewhere (`store/proofs.py`). Algorithms
bear their names of RFC 9864: ES256 (on P-256) and Ed25519. `nonce` is handed on but not asked for; a server
that hands nonces out compares `Proof.nonce`.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ALGORITHMS = ("ES256", "Ed25519")
MAX_AGE_S = 60.0
MAX_AHEAD_S = 5.0  # a phone's clock may be this much fast
MAX_PROOF_CHARACTERS = 2048
MAX_JTI_CHARACTERS = 256
_COORDINATE_BYTES = 32
_SIGNATURE_BYTES = 64
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


class ProofRefused(Exception):
    """A proof that proves nothing; the message says why, for the developer of the app. Holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a valid proof says. `digest` is unique to it: remember it until `expires_at_s` (Unix time)."""

    thumbprint: str  # of the key (RFC 7638)
    digest: bytes
    expires_at_s: float
    nonce: str | None


class _Header(msgspec.Struct):
    typ: str
    alg: str
    jwk: dict[str, Any]
    crit: Any = None


class _Claims(msgspec.Struct):
    htm: str
    htu: str
    iat: int | float
    jti: str
    ath: str | None = None
    nonce: str | None = None


_headers = msgspec.json.Decoder(_Header)
_claims = msgspec.json.Decoder(_Claims)


def check_proof(text: str, *, method: str, address: str, now_s: float, token: str | None = None) -> Proof:
    """The proof in `text`, for a request of `method` to `address` with `token` (None: enrolment, none yet).

    `now_s` is real Unix time. Raises `ProofRefused`. Whether it was used before is not known here.
    """
    if len(text) > MAX_PROOF_CHARACTERS or not text.isascii():
        raise ProofRefused("the proof is too long, or no JWT")
    parts = text.split(".")
    if len(parts) != 3:
        raise ProofRefused("the proof is no JWT of three parts")
    try:
        header = _headers.decode(_decode(parts[0]))
        claims = _claims.decode(_decode(parts[1]))
        signature = _decode(parts[2])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise ProofRefused("a part of the proof is missing or malformed") from None
    if header.typ != "dpop+jwt" or header.crit is not None:
        raise ProofRefused("the header's typ must be dpop+jwt, and crit absent")
    thumbprint = _check_signature(header, f"{parts[0]}.{parts[1]}".encode(), signature)
    _check_claims(claims, method=method, address=address, now_s=now_s, token=token)
    return Proof(
        thumbprint=thumbprint,
        digest=hashlib.sha256(f"{thumbprint}.{claims.jti}".encode()).digest(),
        expires_at_s=claims.iat + MAX_AGE_S,
        nonce=claims.nonce,
    )


def _check_claims(claims: _Claims, *, method: str, address: str, now_s: float, token: str | None) -> None:
    if claims.htm != method:
        raise ProofRefused("htm is not the method of this request")
    if normalise_address(claims.htu) != normalise_address(address):
        raise ProofRefused("htu is not the address of this request")
    if not now_s - MAX_AGE_S <= claims.iat <= now_s + MAX_AHEAD_S:
        raise ProofRefused(f"iat is more than {MAX_AGE_S:.0f} s ago, or ahead of the server's clock")
    if not 0 < len(claims.jti) <= MAX_JTI_CHARACTERS:
        raise ProofRefused(f"jti must have 1 to {MAX_JTI_CHARACTERS} characters")
    if token is None:
        return
    expected = _encode(hashlib.sha256(token.encode()).digest())
    if claims.ath is None or not hmac.compare_digest(claims.ath.encode(), expected.encode()):
        raise ProofRefused("ath is not the hash of the token")


def _check_signature(header: _Header, signed: bytes, signature: bytes) -> str:
    """The thumbprint of the key in the header, if it signed. Raises `ProofRefused`."""
    if header.alg not in ALGORITHMS:
        raise ProofRefused(f"alg must be one of {', '.join(ALGORITHMS)}")
    if _PRIVATE_MEMBERS & header.jwk.keys():
        raise ProofRefused("jwk must hold a public key alone")
    names = ("kty", "crv", "x", "y") if header.alg == "ES256" else ("kty", "crv", "x")
    members = tuple(header.jwk.get(name) for name in names)
    if not all(isinstance(member, str) and len(member) <= 64 for member in members):
        raise ProofRefused("jwk lacks a member, or one is no text")
    if header.jwk.get("alg", header.alg) != header.alg or len(signature) != _SIGNATURE_BYTES:
        raise ProofRefused("jwk or signature do not fit the alg")
    try:
        key, thumbprint = _read_key(header.alg, members)
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, signed)
        else:
            r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
            key.verify(encode_dss_signature(r, s), signed, ECDSA(SHA256()))
    except ValueError:
        raise ProofRefused("jwk is no key of that kind") from None
    except InvalidSignature:
        raise ProofRefused("the signature is not of the key in the header") from None
    return thumbprint


@lru_cache(maxsize=4096)
def _read_key(
    algorithm: str, members: tuple[str, ...]
) -> tuple[Ed25519PublicKey | EllipticCurvePublicKey, str]:
    """The key and its thumbprint (RFC 7638, 3.2). Raises ValueError where the point is not on its curve."""
    kty, crv, x = members[:3]
    raw = [_decode(member) for member in members[2:]]
    if any(len(coordinate) != _COORDINATE_BYTES for coordinate in raw):
        raise ValueError("a coordinate has 32 bytes")
    if algorithm == "ES256":
        if (kty, crv) != ("EC", "P-256"):
            raise ValueError("ES256 takes a key on P-256")
        numbers = EllipticCurvePublicNumbers(
            int.from_bytes(raw[0], "big"), int.from_bytes(raw[1], "big"), SECP256R1()
        )
        content = f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{members[3]}"}}'
        return numbers.public_key(), _encode(hashlib.sha256(content.encode()).digest())
    if (kty, crv) != ("OKP", "Ed25519"):
        raise ValueError("Ed25519 takes a key on Ed25519")
    content = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'
    return Ed25519PublicKey.from_public_bytes(raw[0]), _encode(hashlib.sha256(content.encode()).digest())


def normalise_address(address: str) -> str:
    """Scheme, host, port and path, without query and fragment (RFC 9449, section 4.3, step 9; RFC 3986, 6.2).

    Raises `ProofRefused` where it is no http address.
    """
    try:
        parts = urlsplit(address)
        scheme, host, port = parts.scheme.lower(), (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise ProofRefused("htu is no address") from None
    if scheme not in _DEFAULT_PORTS or not host or parts.username is not None:
        raise ProofRefused("htu is no http address")
    where = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS[scheme]:
        where = f"{where}:{port}"
    return f"{scheme}://{where}{parts.path or '/'}"


def _decode(text: str) -> bytes:
    """Base64url without padding, exactly one way of writing (RFC 7515, section 2). Raises ValueError."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if _encode(raw) != text:
        raise ValueError("not base64url")
    return raw


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
