"""Clips at rest: each with its own key, read from any place, and every touch shown; local and S3-compatible alike."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlatch.cameras.storage import CHUNK_BYTES, MAX_READ_BYTES, ClipStore, S3Place, new_key, open_store
from unlatch.domain.clip import Place
from unlatch.errors import ClipDamaged, RecordingError

SIZE = 3 * CHUNK_BYTES + 1234
CONTENT = os.urandom(SIZE)
PLACES = [
    Place(part=number + 1, offset=offset, size=min(10_000, SIZE - offset), frames_sha256=b"")
    for number, offset in enumerate(range(2_000, SIZE, 10_000))
]


class Bucket(ThreadingHTTPServer):
    """The least of an S3-compatible store: objects of one bucket, and what was asked of it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), BucketHandler)
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.asked: list[str] = []


class BucketHandler(BaseHTTPRequestHandler):
    server: Bucket
    protocol_version = "HTTP/1.1"

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.server.asked.append(f"{self.command} {self.path} {status}")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", headers.pop("length", str(len(body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def _name(self) -> str:
        return urlsplit(self.path).path

    def do_PUT(self) -> None:
        assert "AWS4-HMAC-SHA256" in self.headers.get("Authorization", "")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if found := re.search(r"partNumber=(\d+)&uploadId=(\w+)", self.path):
            self.server.uploads[found[2]][int(found[1])] = body
        else:
            self.server.objects[self._name] = body
        self._answer(200, ETag='"e"')

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        if self.path.endswith("?delete"):
            keys = re.findall(r"<Key>([^<]*)</Key>", body)
            for key in keys:
                self.server.objects.pop(f"{self._name.rstrip('/')}/{key}", None)
            done = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            answer = f"<DeleteResult>{done}</DeleteResult>".encode()
        elif found := re.search(r"uploadId=(\w+)", self.path):
            parts = self.server.uploads.pop(found[1])
            self.server.objects[self._name] = b"".join(parts[number] for number in sorted(parts))
            answer = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
        else:
            self.server.uploads["u"] = {}
            answer = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
        self._answer(200, answer)

    def _read(self) -> None:
        content = self.server.objects.get(self._name)
        if content is None:
            self._answer(404)
            return
        fixed = {"ETag": '"e"', "Last_Modified": "Thu, 26 Nov 2026 00:00:00 GMT"}
        if found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            begin, end = int(found[1]), min(int(found[2]) + 1, len(content))
            fixed["Content_Range"] = f"bytes {begin}-{end - 1}/{len(content)}"
            self._answer(206, content[begin:end], **fixed)
        else:
            self._answer(200, content, **fixed)

    do_GET = do_HEAD = _read  # noqa: N815 (the library calls them so)

    def do_DELETE(self) -> None:
        self.server.objects.pop(self._name, None)
        self._answer(204)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    thread = threading.Thread(target=bucket.serve_forever, daemon=True)
    thread.start()
    yield bucket
    bucket.shutdown()
    bucket.server_close()


def s3(bucket: Bucket) -> ClipStore:
    place = S3Place(
        bucket="clips", endpoint=f"http://127.0.0.1:{bucket.server_port}", region="somewhere",
        access_key_id="id", secret_access_key="secret",
    )  # fmt: skip
    return ClipStore(open_store(place))


@pytest.fixture(params=["local", "s3", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, bucket: Bucket) -> ClipStore:
    match request.param:
        case "local":
            return ClipStore(open_store(tmp_path / "store"))
        case "s3":
            return s3(bucket)
    return ClipStore(open_store(None))


def write(folder: Path, content: bytes) -> Path:
    path = folder / "clip.mp4"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, SIZE])
def test_what_was_kept_is_read(store: ClipStore, tmp_path: Path, size: int) -> None:
    key, content = new_key(), CONTENT[:size]
    kept = store.put("visit-1_a", key, write(tmp_path, content))
    assert kept > size
    assert store.size("visit-1_a") == size
    assert store.read("visit-1_a", key, 0, SIZE + 1) == content
    assert store.read("visit-1_a", key, max(0, size - 5), 100) == content[max(0, size - 5) :]
    assert store.read("visit-1_a", key, size, 100) == b""
    assert store.find_damage("visit-1_a", key, PLACES) == ()


def test_a_clip_too_large_for_one_request_is_kept_in_several(bucket: Bucket, tmp_path: Path) -> None:
    content = os.urandom(12 * 1024 * 1024)
    store, key = s3(bucket), new_key()
    store.put("large", key, write(tmp_path, content))
    assert sum("partNumber" in asked for asked in bucket.asked) > 1
    assert store.read("large", key, 7_000_000, 100_000) == content[7_000_000:7_100_000]
    assert max(len(one) for one in bucket.objects.values()) > len(content)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClipStore, bytes]:
    store, key = ClipStore(open_store(None)), new_key()
    store.put("clip", key, write(tmp_path_factory.mktemp("ranges"), CONTENT))
    return store, key


@given(offset=st.integers(0, SIZE + 10), size=st.integers(0, SIZE + 10))
def test_any_range_is_read(kept: tuple[ClipStore, bytes], offset: int, size: int) -> None:
    store, key = kept
    assert store.read("clip", key, offset, size) == CONTENT[offset : offset + size]


@pytest.mark.parametrize(("offset", "size"), [(-1, 1), (0, -1), (0, MAX_READ_BYTES + 1)])
def test_what_is_no_range_is_refused(kept: tuple[ClipStore, bytes], offset: int, size: int) -> None:
    store, key = kept
    with pytest.raises(RecordingError):
        store.read("clip", key, offset, size)


def local(tmp_path: Path) -> tuple[ClipStore, bytes, Path]:
    store, key = ClipStore(open_store(tmp_path / "store")), new_key()
    store.put("clip", key, write(tmp_path, CONTENT))
    return store, key, tmp_path / "store" / "clips" / "clip.clip"


@pytest.mark.parametrize("at", [0, 70_000, 150_000, SIZE - 1])
def test_one_flipped_bit_names_its_parts(tmp_path: Path, at: int) -> None:
    store, key, path = local(tmp_path)
    content = bytearray(path.read_bytes())
    content[20 + at + at // CHUNK_BYTES * 16] ^= 0x01
    path.write_bytes(content)
    touched = store.find_damage("clip", key, PLACES)
    part = next((one.part for one in PLACES if one.offset <= at < one.offset + one.size), None)
    assert part is None or part in touched
    assert len(touched) <= CHUNK_BYTES // 10_000 + 2  # no more than a chunk's
    with pytest.raises(ClipDamaged, match=r"bytes \d+ to \d+ of clip clip"):
        store.read("clip", key, at, 1, PLACES)
    other = (at + 2 * CHUNK_BYTES) % SIZE // CHUNK_BYTES * CHUNK_BYTES
    assert store.read("clip", key, other, 10) == CONTENT[other : other + 10]  # the rest is still read


def test_chunks_can_t_be_swapped_left_out_or_cut_off(tmp_path: Path) -> None:
    store, key, path = local(tmp_path)
    whole = path.read_bytes()
    step, head = CHUNK_BYTES + 16, 20
    chunks = [whole[head + number * step : head + (number + 1) * step] for number in range(4)]
    for touched in (
        [chunks[1], chunks[0], *chunks[2:]],
        [chunks[0], *chunks[2:]],
        chunks[:3],
        [chunks[0], chunks[0], chunks[1], chunks[2], chunks[3]],
    ):
        path.write_bytes(whole[:head] + b"".join(touched))
        assert store.find_damage("clip", key, PLACES) != ()
    for content in (b"", whole[:10], b"X" + whole[1:], whole[:9] + b"\xff\xff\xff\xff" + whole[13:]):
        path.write_bytes(content)
        with pytest.raises(ClipDamaged):
            store.read("clip", key, 0, 10)


def test_another_key_or_another_clip_s_place_opens_nothing(tmp_path: Path) -> None:
    store, key, path = local(tmp_path)
    with pytest.raises(ClipDamaged):
        store.read("clip", new_key(), 0, 10)
    path.rename(path.with_name("other.clip"))
    with pytest.raises(ClipDamaged):
        store.read("other", key, 0, 10)


def test_nothing_of_a_clip_lies_there_in_clear_and_no_key_is_used_the_same_way_twice(tmp_path: Path) -> None:
    store, key, path = local(tmp_path)
    first = path.read_bytes()
    assert CONTENT[:32] not in first
    store.put("clip", key, write(tmp_path, CONTENT))
    second = path.read_bytes()
    assert first[:13] == second[:13]
    assert first[13:20] != second[13:20]
    assert first[20:60] != second[20:60]


def test_forgetting_can_be_proven(store: ClipStore, tmp_path: Path) -> None:
    key = new_key()
    store.put("gone", key, write(tmp_path, CONTENT))
    assert store.exists("gone")
    store.forget("gone")
    store.forget("gone")
    assert not store.exists("gone")
    with pytest.raises(ClipDamaged, match="not there"):
        store.read("gone", key, 0, 1)


@pytest.mark.parametrize("clip_id", ["", "../x", "a/b", ".", "a" * 101, "é", "a\n"])
def test_a_name_that_leads_elsewhere_is_refused(store: ClipStore, tmp_path: Path, clip_id: str) -> None:
    with pytest.raises(RecordingError):
        store.put(clip_id, new_key(), write(tmp_path, b"x"))


def test_a_store_that_refuses_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "clips").write_bytes(b"a file, where a folder should be")
    store = ClipStore(open_store(tmp_path / "store"))
    with pytest.raises(RecordingError) as refused:
        store.put("clip", new_key(), write(tmp_path, CONTENT))
    assert refused.value.code == "disk"
