"""A courier's phone for the tests: its key, and the proofs that it signs. Forges where it is told to."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256


def encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


class Phone:
    """One key pair; `proof` signs for a request; any header or claim can be replaced (None: left out)."""

    def __init__(self, alg: str = "ES256") -> None:
        self.alg = alg
        if alg == "ES256":
            self.ec_key = ec.generate_private_key(ec.SECP256R1())
            numbers = self.ec_key.public_key().public_numbers()
            x, y = (encode(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
            self.jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        else:
            self.ed_key = ed25519.Ed25519PrivateKey.generate()
            self.jwk = {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": encode(self.ed_key.public_key().public_bytes_raw()),
            }

    @property
    def thumbprint(self) -> str:
        content = json.dumps(dict(sorted(self.jwk.items())), separators=(",", ":"))
        return encode(hashlib.sha256(content.encode()).digest())

    def sign(self, signed: bytes) -> bytes:
        if self.alg == "ES256":
            r, s = decode_dss_signature(self.ec_key.sign(signed, ec.ECDSA(SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return self.ed_key.sign(signed)

    def proof(
        self,
        method: str,
        address: str,
        token: str | None = None,
        *,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        head = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.jwk, **(header or {})}
        body = {"htm": method, "htu": address, "iat": int(time.time()), "jti": secrets.token_urlsafe(16)}
        if token is not None:
            body["ath"] = encode(hashlib.sha256(token.encode()).digest())
        body |= claims
        parts = [
            encode(json.dumps({name: value for name, value in part.items() if value is not None}).encode())
            for part in (head, body)
        ]
        return ".".join([*parts, encode(self.sign(".".join(parts).encode()))])
