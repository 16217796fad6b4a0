"""Proofs of possession: the RFC's own examples hold, and each way of forging one is refused by its reason."""

import json
import time
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from tests.web.phone import Phone, encode

from unlatch.web.proof_of_possession import ProofRefused, check_proof, normalise_address

ADDRESS = "https://unlatch.example/v1/courier/stops"
TOKEN = "unlatch_phone_0011"
NOW_S = time.time()

# RFC 9449: the proofs of sections 4.1 and 7.1, the token of the latter, and their key's thumbprint (6.1).
HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Im"
    "t0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0Rsc"
    "EJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRs"
    "Y3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
)
OF_TOKEN_REQUEST = (
    HEADER + ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVC"
    "IsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2"
    "VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0z"
    "drj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xR"
    "ZT3Lg"
)
OF_RESOURCE_REQUEST = (
    HEADER + ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIi"
    "wiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm"
    "90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZ"
    "lVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFF"
    "byJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
RFC_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
RFC_THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_the_example_of_a_token_request_holds() -> None:
    proof = check_proof(
        OF_TOKEN_REQUEST, method="POST", address="https://server.example.com/token", now_s=1_562_262_616.0
    )
    assert proof.thumbprint == RFC_THUMBPRINT
    assert proof.expires_at_s == 1_562_262_676


def test_the_example_of_a_resource_request_holds_with_its_token_alone() -> None:
    asked = {
        "method": "GET",
        "address": "https://resource.example.org/protectedresource",
        "now_s": 1_562_262_618.0,
    }
    assert check_proof(OF_RESOURCE_REQUEST, token=RFC_TOKEN, **asked).thumbprint == RFC_THUMBPRINT  # type: ignore[arg-type]
    with pytest.raises(ProofRefused, match="ath"):
        check_proof(OF_RESOURCE_REQUEST, token=RFC_TOKEN + "x", **asked)  # type: ignore[arg-type]


def sign(phone: Phone, *request: str, **changes: Any) -> str:
    """A proof of the one moment that these tests live in."""
    return phone.proof(*request, **{"iat": int(NOW_S), **changes})


def check(text: str, *, method: str = "POST", address: str = ADDRESS, now_s: float = NOW_S) -> str:
    return check_proof(text, method=method, address=address, now_s=now_s, token=TOKEN).thumbprint


@pytest.mark.parametrize("alg", ["ES256", "Ed25519"])
def test_a_phone_s_own_proof_holds_and_tells_its_key(alg: str) -> None:
    phone = Phone(alg)
    assert check(sign(phone, "POST", ADDRESS, TOKEN)) == phone.thumbprint


@pytest.mark.parametrize("htu", [ADDRESS + "?a=1#b", "HTTPS://Unlatch.Example:443/v1/courier/stops"])
def test_the_address_may_be_written_otherwise(htu: str) -> None:
    assert check(sign(Phone(), "POST", htu, TOKEN))


PHONE = Phone()
PRIVATE = {**PHONE.jwk, "d": "AAAA"}
SYMMETRIC = {"kty": "oct", "k": "c2VjcmV0"}
OFF_CURVE = {**PHONE.jwk, "y": PHONE.jwk["x"]}


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("htm", sign(PHONE, "GET", ADDRESS, TOKEN)),
        ("htu", sign(PHONE, "POST", ADDRESS + "/x", TOKEN)),
        ("htu", sign(PHONE, "POST", ADDRESS.replace("https", "http"), TOKEN)),
        ("htu", sign(PHONE, "POST", ADDRESS.replace("example", "example.evil"), TOKEN)),
        ("htu", sign(PHONE, "POST", "https://[", TOKEN)),
        ("htu", sign(PHONE, "POST", "https://unlatch.example@evil/v1/courier/stops", TOKEN)),
        ("ath", sign(PHONE, "POST", ADDRESS, "another token")),
        ("ath", sign(PHONE, "POST", ADDRESS)),
        ("ath", sign(PHONE, "POST", ADDRESS, TOKEN, ath="é")),
        ("iat", sign(PHONE, "POST", ADDRESS, TOKEN, iat=NOW_S - 61)),
        ("iat", sign(PHONE, "POST", ADDRESS, TOKEN, iat=NOW_S + 6)),
        ("malformed", sign(PHONE, "POST", ADDRESS, TOKEN, iat="now")),
        ("malformed", sign(PHONE, "POST", ADDRESS, TOKEN, iat=True)),
        ("malformed", sign(PHONE, "POST", ADDRESS, TOKEN, jti=None)),
        ("malformed", sign(PHONE, "POST", ADDRESS, TOKEN, jti=7)),
        ("jti", sign(PHONE, "POST", ADDRESS, TOKEN, jti="")),
        ("jti", sign(PHONE, "POST", ADDRESS, TOKEN, jti="j" * 257)),
        ("typ", sign(PHONE, "POST", ADDRESS, TOKEN, header={"typ": "JWT"})),
        ("crit", sign(PHONE, "POST", ADDRESS, TOKEN, header={"crit": ["b64"]})),
        ("alg", sign(PHONE, "POST", ADDRESS, TOKEN, header={"alg": "none"})),
        ("alg", sign(PHONE, "POST", ADDRESS, TOKEN, header={"alg": "HS256", "jwk": SYMMETRIC})),
        ("alg", sign(PHONE, "POST", ADDRESS, TOKEN, header={"alg": "RS256"})),
        ("alg", sign(PHONE, "POST", ADDRESS, TOKEN, header={"alg": "EdDSA"})),
        ("key", sign(PHONE, "POST", ADDRESS, TOKEN, header={"alg": "Ed25519"})),
        ("public", sign(PHONE, "POST", ADDRESS, TOKEN, header={"jwk": PRIVATE})),
        ("public", sign(PHONE, "POST", ADDRESS, TOKEN, header={"jwk": SYMMETRIC})),
        ("jwk", sign(PHONE, "POST", ADDRESS, TOKEN, header={"jwk": OFF_CURVE})),
        ("jwk", sign(PHONE, "POST", ADDRESS, TOKEN, header={"jwk": {"kty": "EC"}})),
        ("signature", sign(PHONE, "POST", ADDRESS, TOKEN, header={"jwk": Phone().jwk})),
        ("three parts", "a.b"),
        ("too long", "a" * 3000),
        ("malformed", "é.ü.ö".encode().hex() + ".."),
        ("malformed", f"{encode(b'[' * 900)}.{encode(b'{}')}.{encode(b'x')}"),
    ],
)
def test_each_way_of_forging_is_refused_by_its_reason(reason: str, text: str) -> None:
    with pytest.raises(ProofRefused, match=reason):
        check(text)


@pytest.mark.parametrize("place", range(3))
def test_any_altered_letter_is_refused(place: int) -> None:
    parts = sign(Phone(), "POST", ADDRESS, TOKEN).split(".")
    for at in range(0, len(parts[place]), 7):
        letter = "A" if parts[place][at] != "A" else "B"
        altered = [*parts]
        altered[place] = parts[place][:at] + letter + parts[place][at + 1 :]
        with pytest.raises(ProofRefused):
            check(".".join(altered))


def test_the_same_number_gives_the_same_digest_for_one_key_and_another_for_another() -> None:
    def digest(phone: Phone, jti: str) -> bytes:
        text = sign(phone, "POST", ADDRESS, TOKEN, jti=jti)
        return check_proof(text, method="POST", address=ADDRESS, now_s=NOW_S, token=TOKEN).digest

    other = Phone()
    assert digest(PHONE, "one") == digest(PHONE, "one")
    assert len({digest(PHONE, "one"), digest(PHONE, "two"), digest(other, "one")}) == 3


def test_a_signature_is_written_in_one_way_alone() -> None:
    """Base64url with other spare bits, or padded, would give a second text of the same proof."""
    text = sign(Phone(), "POST", ADDRESS, TOKEN)
    spare = chr(ord(text[-1]) + 1)
    assert urlsafe_b64decode(text.split(".")[2] + "==")
    for other in (text + "=", text[:-1] + spare):
        with pytest.raises(ProofRefused):
            check(other)


def test_addresses_are_compared_without_what_does_not_matter() -> None:
    assert normalise_address("HTTP://A.example:80?q") == "http://a.example/"
    assert normalise_address("http://[::1]:8700/v1#f") == "http://[::1]:8700/v1"
    assert json.dumps(normalise_address("https://a:444/b%2Fc")) == '"https://a:444/b%2Fc"'
