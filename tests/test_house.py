"""What a release must hold: every setting read as it says, every package named, nothing of this machine in a lock."""

from __future__ import annotations

import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from unlatch.errors import SettingsError
from unlatch.main import COMMANDS, build_parser, main
from unlatch.settings import describe_settings, read_settings

ROOT = Path(__file__).parents[1]
HOME = {"UNLATCH_DATA_DIR": "/somewhere"}
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def locked(name: str) -> list[str]:
    return re.findall(r"^([a-z0-9-]+)==", (ROOT / name).read_text(), re.MULTILINE)


def test_every_package_that_is_installed_stands_in_the_notice() -> None:
    words = set(re.findall(r"[a-z0-9-]+", (ROOT / "NOTICE").read_text()))
    assert set(locked("requirements.lock")) - words == set()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_pins_every_package_by_hash_and_names_no_host_and_no_path(name: str) -> None:
    text = (ROOT / name).read_text()
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(locked(name)) > 40
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
    assert re.findall(r"https?://|file:|--index-url|--find-links|^#.*/", text, re.MULTILINE) == []


def test_the_two_locks_agree() -> None:
    def versions(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / name).read_text(), re.MULTILINE))

    assert versions("requirements.lock") <= versions("requirements-dev.lock")


def test_defaults() -> None:
    settings = read_settings({"XDG_DATA_HOME": "/data"})
    assert settings.data_dir == Path("/data/unlatch")
    assert settings.database_url is None
    assert settings.clock().factor == 1.0
    assert not settings.allows_private_hubs
    assert read_settings(HOME | {"UNLATCH_HTTP_PORT": "9"}).public_url == "http://127.0.0.1:9"
    assert read_settings(HOME | {"UNLATCH_HTTP_HOST": "::1"}).public_url == "http://[::1]:8700"


def test_all_settings_are_read() -> None:
    settings = read_settings(
        HOME
        | {
            "UNLATCH_DATABASE_URL": "postgresql://a:geheim@h/d",
            "UNLATCH_SECRET_KEY": KEY,
            "UNLATCH_TIME_FACTOR": "60",
            "UNLATCH_TIME_ANCHOR": "2026-05-01T02:00:00+02:00",
            "UNLATCH_HTTP_HOST": "::1",
            "UNLATCH_PUBLIC_URL": "https://unlatch.example/",
            "UNLATCH_LOG_LEVEL": "DEBUG",
            "UNLATCH_CLOUD_ONSTAR": "http://127.0.0.1:5000",
            "UNLATCH_SMTP_URL": "smtp://ann:geheim@mail.example:587",
            "UNLATCH_MAIL_FROM": "Unlatch <deliveries@unlatch.example>",
            "UNLATCH_VAPID_KEY": KEY,
            "UNLATCH_SMS_URL": "twilio://sid:geheim@+15550001/{to}",
            "UNLATCH_OTHER_CHANNELS": "slack, tgram",
            "UNLATCH_ALLOW_PRIVATE_WEBHOOKS": "yes",
            "UNLATCH_PRIVATE_HUBS": "Yes",
        }
    )
    assert settings.other_channels == ("slack", "tgram")
    assert settings.may_hooks_be_private
    assert settings.find_vapid_subject() == "https://unlatch.example"
    assert settings.allows_private_hubs
    assert settings.clock().anchor_at == datetime(2026, 5, 1, tzinfo=UTC)
    assert settings.read_secret_key() == b"01234567890123456789012345678901"
    assert settings.public_url == "https://unlatch.example"
    assert settings.log_level == "debug"
    assert dict(settings.cloud_addresses) == {"onstar": "http://127.0.0.1:5000"}
    assert "geheim" not in repr(settings)
    assert "0123456789" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("UNLATCH_DATA_DIR", "relative"),
        ("UNLATCH_SECRET_KEY", "c2hvcnQ="),
        ("UNLATCH_TIME_FACTOR", "nan"),
        ("UNLATCH_TIME_FACTOR", "-1"),
        ("UNLATCH_TIME_ANCHOR", "2026-01-01T00:00:00"),
        ("UNLATCH_HTTP_PORT", "65536"),
        ("UNLATCH_PUBLIC_URL", "unlatch.example"),
        ("UNLATCH_LOG_LEVEL", "loud"),
        ("UNLATCH_CLOUD_ONSTAR", "ftp://x"),
        ("UNLATCH_HTTP_HOST", "x" * 5000),
        ("UNLATCH_SMTP_URL", "mail.example"),
        ("UNLATCH_SMTP_URL", "smtp://ann@mail.example"),
        ("UNLATCH_MAIL_FROM", "Unlatch"),
        ("UNLATCH_VAPID_KEY", "c2hvcnQ="),
        ("UNLATCH_VAPID_SUBJECT", "ann@example.org"),
        ("UNLATCH_SMS_URL", "twilio://a:b@c"),
        ("UNLATCH_OTHER_CHANNELS", "slack tgram"),
        ("UNLATCH_ALLOW_PRIVATE_WEBHOOKS", "maybe"),
        ("UNLATCH_PRIVATE_HUBS", "1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        read_settings(HOME | {variable: value})


def test_a_variable_that_is_no_setting_is_refused_with_the_likely_one() -> None:
    with pytest.raises(SettingsError, match="did you mean UNLATCH_DATABASE_URL"):
        read_settings(HOME | {"UNLATCH_DATABSE_URL": "x"})


def test_the_key_is_made_once_for_us_alone(tmp_path: Path) -> None:
    settings = read_settings({"UNLATCH_DATA_DIR": str(tmp_path / "data")})
    key = settings.read_secret_key()
    assert len(key) == 32
    assert settings.read_secret_key() == key
    assert stat.S_IMODE((tmp_path / "data" / "secret.key").stat().st_mode) == 0o600
    assert [each.name for each in (tmp_path / "data").iterdir()] == ["secret.key"]


def test_the_key_for_web_push_is_made_beside_it_and_stays(tmp_path: Path) -> None:
    settings = read_settings({"UNLATCH_DATA_DIR": str(tmp_path / "data")})
    assert settings.find_vapid_subject() is None
    key = settings.read_vapid_key()
    assert settings.read_vapid_key() == key != settings.read_secret_key()
    assert stat.S_IMODE((tmp_path / "data" / "vapid.key").stat().st_mode) == 0o600


def test_a_key_file_that_was_given_is_never_made(tmp_path: Path) -> None:
    settings = read_settings(HOME | {"UNLATCH_SECRET_KEY_FILE": str(tmp_path / "key")})
    with pytest.raises(SettingsError, match="UNLATCH_SECRET_KEY_FILE"):
        settings.read_secret_key()
    assert not (tmp_path / "key").exists()


def test_each_setting_says_what_it_is_for() -> None:
    described = list(describe_settings())
    assert len({each.variable for each in described}) == len(described) > 8
    assert [each for each in described if len(each.meaning) < 15] == []


def test_an_error_of_ours_is_one_line_for_who_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNLATCH_HTTP_PORT", "many")
    assert main(["migrate"]) == 1
    assert capsys.readouterr().err.startswith("unlatch migrate: UNLATCH_HTTP_PORT can't be used")


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_has_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        build_parser(command).parse_args([command, "--help"])
    assert end.value.code == 0
    assert f"unlatch {command}" in capsys.readouterr().out
