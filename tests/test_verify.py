"""`unlatch verify` on files: what it prints and how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.domain.proofs import BEGAN_AT, KEY, OTHER_KEY, PUBLIC_KEY, VISIT_ID, base64_of, export, journal
from tests.domain.test_anchor import anchored

from unlatch.domain.proof import Kind, next_entry
from unlatch.verify import Unusable, main, read_key

PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    path = tmp_path / "visit.proof"
    path.write_bytes(export())
    return path


def test_a_good_proof_exits_0_and_shows_its_timeline(proof: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(proof), "--key", base64_of(PUBLIC_KEY)]) == 0
    printed = capsys.readouterr().out
    assert f"{proof}: good" in printed
    assert "2026-11-22 (UTC)" in printed
    assert "10:00:18.225     7  courier:7b1e  fact: courier_deposited" in printed
    assert "sealed with your key" in printed


def test_without_a_key_it_says_that_the_key_was_not_compared(
    proof: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(proof)]) == 0
    assert "not compared" in capsys.readouterr().out


def test_a_touched_proof_exits_1_and_names_line_and_row(
    proof: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof.write_bytes(proof.read_bytes().replace(b"courier:7b1e", b"courier:7b1f"))
    assert main([str(proof)]) == 1
    printed = capsys.readouterr().out
    assert f"{proof}: BAD" in printed
    assert "line 8, row 7: this row was changed" in printed


def test_json_says_the_same(proof: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.proof"
    bad.write_bytes(proof.read_bytes()[:-1])
    assert main([str(proof), str(bad), "--json", "--key", PUBLIC_KEY.hex()]) == 1
    good, cut = json.loads(capsys.readouterr().out)["files"]
    assert (good["is_good"], good["entries"], good["faults"]) == (True, 37, [])
    assert good["is_signed_by_known_key"] is True
    assert good["timeline"][0]["private"] == "erased"
    assert (good["visit_id"], good["head"]) == (VISIT_ID, journal()[-1][0].hash)
    assert (cut["is_good"], cut["faults"][0]["line"]) == (False, 40)


def test_another_key_exits_1(proof: Path) -> None:
    assert main([str(proof), "--key", OTHER_KEY.public_key().public_bytes_raw().hex()]) == 1


def test_anchors_are_compared(proof: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    anchors = tmp_path / "anchors"
    anchors.write_bytes(anchored())
    assert main([str(proof), "--anchors", str(anchors)]) == 0
    assert "rows 1 to 37 are as they were anchored" in capsys.readouterr().out
    proof.write_bytes(export(journal(30), attachments=()))
    assert main([str(proof), "--anchors", str(anchors), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["files"][0]["anchored_until"] == 20
    anchors.write_bytes(anchored()[:-2])
    assert main([str(proof), "--anchors", str(anchors)]) == 1


def test_what_cannot_be_read_exits_2(proof: Path, tmp_path: Path) -> None:
    assert main([]) == 2
    assert main([str(tmp_path / "none")]) == 2
    assert main([str(tmp_path)]) == 2
    assert main([str(proof), "--key", "nonsense"]) == 2
    assert main([str(proof), "--anchors", str(tmp_path / "none")]) == 2
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    assert main([str(huge)]) == 2


def test_a_key_may_come_in_any_usual_form(tmp_path: Path) -> None:
    path = tmp_path / "key"
    base64 = base64_of(PUBLIC_KEY)
    url_safe = base64.translate(str.maketrans("+/", "-_")).rstrip("=")
    for content in (PEM, PUBLIC_KEY, base64.encode() + b"\n", PUBLIC_KEY.hex().encode()):
        path.write_bytes(content)
        assert read_key(str(path)) == PUBLIC_KEY
    for text in (base64, url_safe, PUBLIC_KEY.hex()):
        assert read_key(text) == PUBLIC_KEY
    other = generate_private_key(SECP256R1()).public_key()
    path.write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for text in (str(path), "", "\0", "AAAA", "é" * 5000, PUBLIC_KEY.hex()[:-2]):
        with pytest.raises(Unusable):
            read_key(text)


def test_what_a_row_says_can_do_nothing_to_a_terminal(
    proof: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b[2J\u202egood\n\x07"
    row = next_entry(VISIT_ID, None, BEGAN_AT, kind=Kind.NOTE, name=evil, who=evil, body={evil: evil})
    proof.write_bytes(export([(row, None)], attachments=()))
    assert main([str(proof)]) == 0
    printed = capsys.readouterr().out
    assert not {"\x1b", "\u202e", "\x07"} & set(printed)
    assert len(printed.splitlines()) == 7


def test_it_needs_nothing_but_the_standard_library_and_cryptography(proof: Path) -> None:
    program = (
        "import sys\n"
        "from unlatch.verify import main\n"
        "code = main([sys.argv[1]])\n"
        "rooms = {name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "sys.stderr.write(' '.join(sorted(name for name in rooms if not name.startswith('_'))))\n"
        "sys.exit(code)\n"
    )
    command = [sys.executable, "-S", "-c", program, str(proof)]
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        command, env={"PYTHONPATH": ":".join(paths)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stderr.split()) <= {"unlatch", "cryptography", "cffi"}
