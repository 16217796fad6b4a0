"""The same over TLS: a cloud whose certificate is not trusted gets no byte; one that is trusted, all of them."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.devices.canned import read_request
from tests.devices.trying import build, car_of, try_verb

from unlatch.clock import Clock
from unlatch.devices.base import End, Verb
from unlatch.devices.catalogue import find_makers

BODY = b'{"data":{"invokeStatus":"COMPLETED"}}'


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for 127.0.0.1 that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a cloud")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(
    ("is_trusted", "end", "times"), [(False, (End.NOT_SENT, "vendor_down"), 0), (True, (End.DONE, None), 2)]
)
async def test_tls(certificate: Path, is_trusted: bool, end: tuple[End, str | None], times: int) -> None:
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked.append((await read_request(reader))[0])
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    maker = build(
        find_makers()["volvo"], f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", Clock(factor=20.0)
    )
    if is_trusted:
        maker.link.wire._tls = ssl.create_default_context(cafile=str(certificate))
    for _ in range(2):  # the second on the connection kept from the first
        tried = await try_verb(maker, car_of(maker), Verb.LOCK)
        assert (tried.end, tried.code, tried.times_sent) == (*end, 1 if is_trusted else 0)
    assert len(asked) == times
    await maker.link.close()
    server.close()
