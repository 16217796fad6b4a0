"""One frozen object with everything that an installation may set, read from `UNLATCH_*` once, at the start.

Each field carries its variable and its meaning in its metadata: `describe_settings()` lists them, the manual
prints them. A variable that is no setting is refused, since a typing error would otherwise go unnoticed.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import math
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from unlatch.clock import Clock
from unlatch.errors import SettingsError

PREFIX = "UNLATCH_"
CLOUD_PREFIX = "UNLATCH_CLOUD_"
OAUTH_PREFIX = "UNLATCH_OAUTH_"
SECRET_KEY_BYTES = 32
MAX_VALUE_CHARACTERS = 4096
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingDescription:
    """What the manual says about one setting."""

    variable: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """How this installation is registered at a maker. Its text shows no secret."""

    client_id: str
    client_secret: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)  # of the application, for a maker that wants one besides


def _read_text(value: str) -> str:
    return value


def _read_printable(value: str) -> str:
    if not (value.isascii() and value.isprintable()) or len(value) > 1000:
        raise ValueError("give at most 1000 printable ASCII characters")
    return value


def _read_path(value: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_absolute():
        raise ValueError("give an absolute path")
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipBucket:
    """A bucket of an S3-compatible store."""

    bucket: str
    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


def _read_bucket(value: str) -> ClipBucket:
    remedy = "give https://ACCESS_KEY_ID:SECRET@host/bucket?region=REGION"
    parts = urlsplit(value)
    region = parse_qs(parts.query).get("region", [""])[0]
    bucket = parts.path.strip("/")
    if parts.scheme not in ("http", "https") or not (parts.hostname and parts.username and parts.password):
        raise ValueError(remedy)
    if not bucket or "/" in bucket or not region:
        raise ValueError(remedy)
    return ClipBucket(
        bucket=bucket,
        endpoint=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        region=region,
        access_key_id=unquote(parts.username),
        secret_access_key=unquote(parts.password),
    )


def _read_days(value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= 3650:
        raise ValueError("give a whole number of days, from 1 to 3650")
    return int(value)


def _read_factor(value: str) -> float:
    try:
        factor = float(value)
    except ValueError:
        raise ValueError("give a number, 1 for real time") from None
    if not (math.isfinite(factor) and 0.01 <= factor <= 10_000):
        raise ValueError("give a number from 0.01 to 10000, 1 for real time")
    return factor


def _read_take_over(value: str) -> float:
    seconds = _read_factor(value)
    if not 1 <= seconds <= 600:
        raise ValueError("give seconds from 1 to 600")
    return seconds


def _read_days_kept(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or not 7 <= int(value) <= 36_500:
        raise ValueError("give whole days from 7 to 36500")
    return int(value)


def _read_moment(value: str) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("give a moment like 2026-01-01T00:00:00+00:00") from None
    if at.tzinfo is None:
        raise ValueError("give the moment with its offset, like 2026-01-01T00:00:00+00:00")
    return at.astimezone(UTC)


def _read_port(value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 0 <= int(value) <= 65_535:
        raise ValueError("give a port from 1 to 65535, or 0 for any free one")
    return int(value)


def _read_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("give an address like https://unlatch.example")
    return value.rstrip("/")


def _read_log_level(value: str) -> str:
    if value.lower() not in LOG_LEVELS:
        raise ValueError(f"give one of {', '.join(LOG_LEVELS)}")
    return value.lower()


def _read_secret_key(value: str) -> bytes:
    try:
        key = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != SECRET_KEY_BYTES:
        raise ValueError("give 32 random bytes in base64, as `openssl rand -base64 32` prints them")
    return key


def _read_secret_keys(value: str) -> tuple[bytes, ...]:
    return tuple(_read_secret_key(each) for each in value.split(","))


def _read_smtp_url(value: str) -> str:
    parts = urlsplit(value)
    is_whole = (
        parts.scheme in ("smtp", "smtps") and parts.hostname and not (parts.path.strip("/") or parts.query)
    )
    if not is_whole or (parts.username is None) != (parts.password is None) or parts.port == 0:
        raise ValueError("give an address like smtp://user:password@mail.example:587, or smtps://...")
    return value


def _read_mail_from(value: str) -> str:
    bare = value.rpartition("<")[2].rstrip(">") if value.endswith(">") else value
    if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+\.?[^@\s<>]+", bare) or not value.isprintable():
        raise ValueError("give an address like Unlatch <deliveries@example.org>")
    return value


def _read_vapid_subject(value: str) -> str:
    if not re.fullmatch(r"(mailto:[^@\s]+@[^@\s]+|https://[^\s/]+\S*)", value):
        raise ValueError("give how a push service reaches you: mailto:you@example.org or https://example.org")
    return value


def _read_sms_url(value: str) -> str:
    if "{to}" not in value or "://" not in value:
        raise ValueError("give an address of Apprise with {to} where the telephone number stands")
    return value


def _read_words(value: str) -> tuple[str, ...]:
    words = tuple(word.strip().lower() for word in value.split(","))
    if not all(re.fullmatch(r"[a-z][a-z0-9+.-]{1,30}", word) for word in words):
        raise ValueError("give kinds of Apprise with commas between, like slack,tgram")
    return words


def _read_yes(value: str) -> bool:
    if value.lower() not in ("yes", "no"):
        raise ValueError("give yes or no")
    return value.lower() == "yes"


def _setting(
    variable: str, read: Callable[[str], Any], meaning: str, *, is_secret: bool = False, **default: Any
) -> Any:
    """A field of Settings. One that `is_secret` is left out of the text of the object, and so of any log."""
    metadata = {"variable": PREFIX + variable, "read": read, "meaning": meaning}
    return field(metadata=metadata, repr=not is_secret, **default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What this installation may set. All processes of one installation must be given the same values."""

    data_dir: Path = _setting(
        "DATA_DIR",
        _read_path,
        "folder for what must outlive a restart: the embedded database, the key, the anchors. "
        "Default: $XDG_DATA_HOME/unlatch, else ~/.local/share/unlatch",
    )
    database_url: str | None = _setting(
        "DATABASE_URL",
        _read_text,
        "a PostgreSQL server, 17 or newer, as libpq names it (postgresql://... or host=...); may hold a "
        "password, so it is never printed. Default: a PostgreSQL of our own in the data folder",
        is_secret=True,
        default=None,
    )
    secret_key: bytes | None = _setting(
        "SECRET_KEY",
        _read_secret_key,
        "what makers' tokens are encrypted with: 32 bytes in base64. Default: see SECRET_KEY_FILE",
        is_secret=True,
        default=None,
    )
    secret_key_file: Path | None = _setting(
        "SECRET_KEY_FILE",
        _read_path,
        "file that holds the key in base64; for one who mounts it. Default: secret.key in the data folder, "
        "made at the first start",
        default=None,
    )
    old_secret_keys: tuple[bytes, ...] = _setting(
        "SECRET_KEY_OLD",
        _read_secret_keys,
        "secret keys of before, with commas between: they open what they sealed and seal nothing more. "
        "See docs/howto/rotate-keys.md",
        is_secret=True,
        default=(),
    )
    time_factor: float = _setting(
        "TIME_FACTOR",
        _read_factor,
        "how much faster than real time the physical world runs; other than 1 only with the simulated town",
        default=1.0,
    )
    time_anchor_at: datetime = _setting(
        "TIME_ANCHOR",
        _read_moment,
        "the moment at which town time and real time agree",
        default=datetime(2026, 1, 1, tzinfo=UTC),
    )
    http_host: str = _setting(
        "HTTP_HOST", _read_text, "address that the server listens on", default="127.0.0.1"
    )
    http_port: int = _setting(
        "HTTP_PORT", _read_port, "port that the server listens on; 0 for any free one", default=8700
    )
    public_url: str = _setting(
        "PUBLIC_URL",
        _read_url,
        "address at which couriers and carriers reach this server; DPoP proofs are checked against it. "
        "Default: http://HTTP_HOST:HTTP_PORT",
        default="http://127.0.0.1:8700",
    )
    framed_by: str | None = _setting(
        "FRAMED_BY",
        _read_url,
        "address of another page that may show the apps in frames: the simulated town's. Default: nobody may",
        default=None,
    )
    log_level: str = _setting("LOG_LEVEL", _read_log_level, "debug, info, warning or error", default="info")
    take_over_s: float = _setting(
        "TAKE_OVER_S",
        _read_take_over,
        "after how many seconds without a sign of life another worker takes over a worker's orders",
        default=8.0,
    )
    fail_at: str | None = _setting(
        "FAIL_AT",
        _read_text,
        "for tests alone: the labelled point at which this process kills itself (see flow/failpoint.py)",
        default=None,
    )
    rules_dir: Path | None = _setting(
        "RULES_DIR",
        _read_path,
        "folder with the rules of eligibility: programmes/*.toml, vehicles.toml, coverage/*.geojson. A change is taken "
        "up without a restart. Default: the rules that the release ships",
        default=None,
    )
    smtp_url: str | None = _setting(
        "SMTP_URL",
        _read_smtp_url,
        "mail server for notices by e-mail: smtp://user:password@host:port, or smtps:// for TLS from the first byte. "
        "May hold a password, so it is never printed. Default: no e-mail",
        is_secret=True,
        default=None,
    )
    mail_from: str = _setting(
        "MAIL_FROM",
        _read_mail_from,
        "who those mails are from, like Unlatch <deliveries@example.org>; answers and wishes to get none any more "
        "go there",
        default="unlatch@localhost",
    )
    vapid_key: bytes | None = _setting(
        "VAPID_KEY",
        _read_secret_key,
        "key by which push services of browsers know this installation: 32 bytes in base64. Browsers are bound to it: "
        "with another one they must subscribe anew. Default: see VAPID_KEY_FILE",
        is_secret=True,
        default=None,
    )
    vapid_key_file: Path | None = _setting(
        "VAPID_KEY_FILE",
        _read_path,
        "file that holds that key in base64. Default: vapid.key in the data folder, made at the first start",
        default=None,
    )
    vapid_subject: str | None = _setting(
        "VAPID_SUBJECT",
        _read_vapid_subject,
        "how a push service reaches whoever runs this installation: mailto:... or https://... "
        "Default: PUBLIC_URL if that is https; else there is no web push",
        default=None,
    )
    sms_url: str | None = _setting(
        "SMS_URL",
        _read_sms_url,
        "gateway for text messages: an address of Apprise with {to} in place of the telephone number. May hold a "
        "token, so it is never printed. Default: no text messages",
        is_secret=True,
        default=None,
    )
    other_channels: tuple[str, ...] = _setting(
        "OTHER_CHANNELS",
        _read_words,
        "kinds of Apprise whose addresses people may give for their notices, with commas between, like slack,tgram. "
        "Some of them can reach any host, yours too. Default: none",
        default=(),
    )
    may_hooks_be_private: bool = _setting(
        "ALLOW_PRIVATE_WEBHOOKS",
        _read_yes,
        "yes: webhooks and push services may stand in private networks and need no TLS; with the simulated town alone",
        default=False,
    )
    allows_private_hubs: bool = _setting(
        "PRIVATE_HUBS",
        _read_yes,
        "yes: hubs of homes may be on this machine or in its private network, for one who runs Unlatch at home. no: "
        "only on the public internet, since whoever registers a place chooses the address that we knock at",
        default=False,
    )
    notices_kept_days: int = _setting(
        "NOTICES_KEPT_DAYS",
        _read_days_kept,
        "after how many days what people were told, and how it fared on each channel, is forgotten. An open claim "
        "holds what is of its stop",
        default=90,
    )
    findings_kept_days: int = _setting(
        "FINDINGS_KEPT_DAYS",
        _read_days_kept,
        "after how many days what pre-flight found, and the duties that are over, are forgotten. An open claim "
        "holds what is of its stop",
        default=30,
    )
    clips_dir: Path | None = _setting(
        "CLIPS_DIR",
        _read_path,
        "folder for the clips of homes, each encrypted with a key of its own. Default: clips in the data folder",
        default=None,
    )
    clips_bucket: ClipBucket | None = _setting(
        "CLIPS_BUCKET",
        _read_bucket,
        "an S3-compatible store for clips instead of a folder: "
        "https://ACCESS_KEY_ID:SECRET@host[:port]/bucket?region=REGION. Holds a secret, so it is never printed. "
        "Default: the folder",
        is_secret=True,
        default=None,
    )
    clip_days: int = _setting(
        "CLIP_DAYS",
        _read_days,
        "how many days a clip is kept where the programme of its delivery does not say it",
        default=30,
    )
    cloud_addresses: Mapping[str, str] = _setting(
        "CLOUD_<MAKER>",
        _read_url,
        "another address for a maker's cloud than the maker's own, as in UNLATCH_CLOUD_ONSTAR",
        default_factory=lambda: MappingProxyType({}),
    )
    oauth_clients: Mapping[str, OAuthClient] = _setting(
        "OAUTH_<MAKER>_ID",
        _read_printable,
        "how this installation is registered at a maker, so that consignees can link their cars: "
        "UNLATCH_OAUTH_VOLVO_ID, and _SECRET, and _KEY for a maker whose applications have a key besides. To be "
        "registered there with it: PUBLIC_URL/v1/links/callback",
        default_factory=lambda: MappingProxyType({}),
    )

    def clock(self) -> Clock:
        """The clock of this installation's physical world."""
        return Clock(factor=self.time_factor, anchor_at=self.time_anchor_at)

    def read_secret_key(self) -> bytes:
        """The 32 bytes that makers' tokens are encrypted with; makes the key file if need be."""
        if self.secret_key is not None:
            return self.secret_key
        return self._read_key_file("UNLATCH_SECRET_KEY_FILE", self.secret_key_file, "secret.key")

    def read_vapid_key(self) -> bytes:
        """The 32 bytes of the key that push services know us by; makes its file if need be."""
        if self.vapid_key is not None:
            return self.vapid_key
        return self._read_key_file("UNLATCH_VAPID_KEY_FILE", self.vapid_key_file, "vapid.key")

    def find_vapid_subject(self) -> str | None:
        """How a push service reaches us; None: it can't, and there is no web push."""
        if self.vapid_subject is None and self.public_url.startswith("https://"):
            return self.public_url
        return self.vapid_subject

    def _read_key_file(self, variable: str, given: Path | None, usual_name: str) -> bytes:
        path = given or self.data_dir / usual_name
        try:
            if given is None and not path.exists():
                _make_key_file(path)
            with path.open(encoding="ascii") as file:
                return _read_secret_key(file.read(MAX_VALUE_CHARACTERS))
        except (OSError, ValueError) as error:
            raise SettingsError(f"{variable}: the key in {path} can't be used ({error})") from error


def _make_key_file(path: Path) -> None:
    """Make the key whole or not at all, readable by us alone; of two processes at once the first one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(SECRET_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def describe_settings() -> Iterator[SettingDescription]:
    """Every setting, in the order of the manual."""
    for each in fields(Settings):
        yield SettingDescription(variable=each.metadata["variable"], meaning=each.metadata["meaning"])


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings in `environ`; raises `SettingsError` naming the first that is wrong, and the remedy."""
    given = {name: value for name, value in environ.items() if name.startswith(PREFIX) and value != ""}
    values: dict[str, Any] = {}
    clouds: dict[str, str] = {}
    clients: dict[str, dict[str, str]] = {}
    known = {each.metadata["variable"]: each for each in fields(Settings)}
    for name, value in given.items():
        is_cloud = name.startswith(CLOUD_PREFIX) and name != CLOUD_PREFIX
        maker, part = _split_oauth(name)
        if name not in known and not is_cloud and not part:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "take it out of the environment"
            raise SettingsError(f"{name} is not a setting of Unlatch: {hint}")
        if len(value) > MAX_VALUE_CHARACTERS:
            raise SettingsError(f"{name} is longer than {MAX_VALUE_CHARACTERS} characters")
        try:
            if is_cloud:
                clouds[name.removeprefix(CLOUD_PREFIX).lower()] = _read_url(value)
            elif part:
                clients.setdefault(maker, {})[part] = _read_printable(value)
            else:
                values[known[name].name] = known[name].metadata["read"](value)
        except ValueError as error:
            raise SettingsError(f"{name} can't be used: {error}") from None
    for key in ("secret_key", "vapid_key"):
        if key in values and f"{key}_file" in values:
            variable = PREFIX + key.upper()
            raise SettingsError(f"{variable} and {variable}_FILE are both given: take one out")
    values.setdefault("data_dir", _default_data_dir(environ))
    host, port = values.get("http_host", "127.0.0.1"), values.get("http_port", 8700)
    values.setdefault("public_url", f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    return Settings(
        cloud_addresses=MappingProxyType(clouds), oauth_clients=MappingProxyType(_join(clients)), **values
    )


_OAUTH_PARTS = {"_ID": "client_id", "_SECRET": "client_secret", "_KEY": "api_key"}


def _split_oauth(name: str) -> tuple[str, str]:
    """Maker and part of UNLATCH_OAUTH_<MAKER>_ID and its like; empty texts for another name."""
    for ending, part in _OAUTH_PARTS.items():
        maker = name.removeprefix(OAUTH_PREFIX).removesuffix(ending)
        if name == f"{OAUTH_PREFIX}{maker}{ending}" and maker:
            return maker.lower(), part
    return "", ""


def _join(clients: Mapping[str, Mapping[str, str]]) -> dict[str, OAuthClient]:
    for maker, parts in clients.items():
        if "client_id" not in parts:
            raise SettingsError(f"{OAUTH_PREFIX}{maker.upper()}_ID is missing: give it beside the others")
    return {maker: OAuthClient(**parts) for maker, parts in clients.items()}


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where XDG's rules put such a folder; they say that a relative XDG_DATA_HOME is to be ignored."""
    home = Path(environ.get("XDG_DATA_HOME", ""))
    if not home.is_absolute():
        try:
            home = Path.home() / ".local" / "share"
        except RuntimeError:
            raise SettingsError(
                "UNLATCH_DATA_DIR is not given, and this user has no home folder: set it"
            ) from None
    return home / "unlatch"
