"""The bundle of evidence: any tool opens it, and whatever byte is touched is found and named."""

from __future__ import annotations

import io
import json
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from tests.domain.proofs import BEGAN_AT, KEY, OTHER_KEY, PUBLIC_KEY, VISIT_ID, export, journal

from unlatch.domain.canonical import canonical
from unlatch.domain.evidence import (
    COUNTED,
    LARGEST_EVIDENCE_BYTES,
    MANIFEST,
    Counted,
    NoBundle,
    make_evidence,
    pack,
    unpack,
    write_counted,
)
from unlatch.verify import main, signer_of, verify_bundle

PROOF = f"visits/{VISIT_ID}.unlatch-proof"


def files_of(entries: int = 2) -> dict[str, bytes]:
    photo = b"\xff\xd8a photo"
    return {
        "claim.json": canonical({"claim_id": "clm_1", "words": "PK\x03\x04 it is broken"}),
        "deeds.json": canonical([{"what": "booked", "who": "carrier:car_1"}]),
        "looks.json": canonical([]),
        f"photos/{sha256(photo).hexdigest()}.jpeg": photo,
        PROOF: export(journal(entries), attachments=()),
    }


def bundle(files: dict[str, bytes] | None = None) -> bytes:
    return make_evidence(
        claim_id="clm_1",
        made_at=BEGAN_AT,
        files=files or files_of(),
        visits=[VISIT_ID],
        left_out=[],
        signer=signer_of(KEY),
    )


def test_a_good_bundle_is_good_and_says_whose_key_it_is() -> None:
    verdict = verify_bundle(bundle(), public_key=PUBLIC_KEY)
    assert verdict.faults == ()
    assert verdict.is_signed_by_known_key
    assert verdict.files[0] == MANIFEST
    assert list(verdict.files[1:]) == sorted(files_of())
    assert verdict.proofs[PROOF].is_good
    unknown = verify_bundle(bundle())
    assert (unknown.is_good, unknown.is_signed_by_known_key) == (True, False)


def test_every_tool_opens_it() -> None:
    with zipfile.ZipFile(io.BytesIO(bundle())) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist() if name != MANIFEST} == files_of()
        manifest = json.loads(archive.read(MANIFEST))
    assert manifest["visits"] == [VISIT_ID]
    assert [one["name"] for one in manifest["files"]] == sorted(files_of())


def test_the_same_is_written_in_the_same_bytes() -> None:
    assert bundle() == bundle(dict(reversed(files_of().items())))
    assert pack(unpack(bundle())) == bundle()


def test_whatever_byte_is_changed_is_found_and_its_file_named() -> None:
    good = bundle()
    contents = dict(unpack(good))
    spans = {name: (good.index(content), len(content)) for name, content in contents.items()}
    for at in range(len(good)):
        for flip in (0x01, 0x20, 0x80):
            touched = good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :]
            verdict = verify_bundle(touched, public_key=PUBLIC_KEY)
            assert not verdict.is_good, f"byte {at} ^ {flip} was not found"
            inside = [name for name, (start, size) in spans.items() if start <= at < start + size]
            if inside:
                assert verdict.faults[0].name == inside[0], f"byte {at}: {verdict.faults}"


@pytest.mark.parametrize("cut", [1, 10, 100, 1000])
def test_what_was_cut_or_added_is_found(cut: int) -> None:
    good = bundle()
    assert not verify_bundle(good[:-cut]).is_good
    assert not verify_bundle(good + b"\0" * cut).is_good
    assert not verify_bundle(good[cut:]).is_good


def test_a_file_put_in_taken_out_or_replaced_is_named() -> None:
    files = unpack(bundle())
    put_in = verify_bundle(pack([*files, ("zz.json", b"{}")]))
    assert [(fault.name, "put in" in fault.what) for fault in put_in.faults] == [("zz.json", True)]
    taken_out = verify_bundle(pack([file for file in files if file[0] != "deeds.json"]))
    assert [(fault.name, "missing" in fault.what) for fault in taken_out.faults] == [("deeds.json", True)]
    other = [(name, b"[]" if name == "deeds.json" else content) for name, content in files]
    assert [fault.name for fault in verify_bundle(pack(other)).faults] == ["deeds.json"]
    assert not verify_bundle(pack([*files, files[1]])).is_good
    assert not verify_bundle(pack([files[0], *reversed(files[1:])])).is_good, "another order"


def test_a_bundle_sealed_anew_by_someone_else_is_found_with_the_operator_s_key() -> None:
    forged = make_evidence(
        claim_id="clm_1",
        made_at=BEGAN_AT,
        files=files_of() | {"deeds.json": b"[]"},
        visits=[VISIT_ID],
        left_out=[],
        signer=signer_of(OTHER_KEY),
    )
    verdict = verify_bundle(forged, public_key=PUBLIC_KEY)
    assert verdict.faults[0].name == MANIFEST
    assert verify_bundle(forged).is_good, "without the key it can't be known"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("left_out", 5),
        ("left_out", True),
        ("visits", "x"),
        ("files", {}),
        ("claim_id", []),
        ("made_at", None),
    ],
)
def test_a_manifest_of_another_shape_is_bad_whoever_sealed_it(
    name: str, value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stranger's bundle ends no check of the files beside it."""
    manifest = json.loads(dict(unpack(bundle({"claim.json": b"{}"})))[MANIFEST]) | {name: value}
    del manifest["signature"]
    manifest["signature"] = KEY.sign(b"unlatch-evidence/1\n" + canonical(manifest)).hex()
    path = tmp_path / "evidence.zip"
    path.write_bytes(pack([(MANIFEST, canonical(manifest)), ("claim.json", b"{}")]))
    assert main([str(path)]) == 1
    assert f"{MANIFEST}: not a manifest" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", [b"[]", b'{"deeds":5}', b'{"deeds":{"all":"x","here":1}}', b'{"deeds":{"all":1}}']
)
def test_what_was_counted_is_written_in_one_way(content: bytes) -> None:
    verdict = verify_bundle(bundle(files_of() | {COUNTED: content}), public_key=PUBLIC_KEY)
    assert [(fault.name, verdict.counted) for fault in verdict.faults] == [(COUNTED, {})]


def test_a_bundle_of_before_that_was_counted_is_as_good() -> None:
    verdict = verify_bundle(bundle(), public_key=PUBLIC_KEY)
    assert (verdict.is_good, verdict.counted) == (True, {})
    counted = {"deeds": Counted(here=1, all=2)}
    verdict = verify_bundle(bundle(files_of() | {COUNTED: write_counted(counted)}))
    assert (verdict.is_good, verdict.counted) == (True, counted)


def test_a_proof_that_was_bad_when_it_was_bundled_is_named_with_its_line() -> None:
    files = files_of(10)
    assert b"courier:7b1e" in files[PROOF]
    files[PROOF] = files[PROOF].replace(b"courier:7b1e", b"courier:7b1f", 1)
    verdict = verify_bundle(bundle(files), public_key=PUBLIC_KEY)
    assert [fault.name for fault in verdict.faults] == [PROOF]
    assert verdict.faults[0].what.startswith("line ")


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/b/c.json", "A.json", "", "a.json\n", ".json"])
def test_a_name_that_leads_elsewhere_is_not_packed_and_not_read(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        pack([(MANIFEST, b"{}"), (name, b"")])


def test_what_is_no_bundle_is_no_bundle() -> None:
    for junk in (b"", b"PK\x03\x04", b"PK\x03\x04" + b"\0" * 26, b"PK\x05\x06" + b"\0" * 18, b"x" * 1000):
        assert not verify_bundle(junk).is_good
    with pytest.raises(NoBundle):
        unpack(pack([("claim.json", b"{}")]))
    assert not verify_bundle(b"PK\x03\x04" + b"\0" * LARGEST_EVIDENCE_BYTES).is_good
    for manifest in (b"{}", b"[]", b"null", b'{"a":1}', canonical({"files": []})):
        verdict = verify_bundle(pack([(MANIFEST, manifest)]))
        assert verdict.faults[0].name == MANIFEST


def test_what_is_too_large_is_not_made() -> None:
    with pytest.raises(ValueError, match="too large"):
        bundle({"claim.json": b"\0" * LARGEST_EVIDENCE_BYTES})
    with pytest.raises(ValueError, match="too large"):
        bundle({f"photos/a{number}.jpeg": b"" for number in range(100)})
