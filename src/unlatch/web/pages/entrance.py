"""The way in and out: signing in, showing once more who one is, where one is signed in, the passkeys, the language."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from litestar import Response
from litestar.datastructures import Cookie

from unlatch.domain.wording import Language
from unlatch.errors import BadInput, NotAllowed
from unlatch.flow import sign_in
from unlatch.flow.sign_in import SESSION_LASTS, Entered
from unlatch.store import sessions
from unlatch.web.pages.consignee_push import find_here, follow
from unlatch.web.pages.language import LANGUAGES
from unlatch.web.pages.page import LANGUAGE_COOKIE, Page, Seen, Show, go_to, render
from unlatch.web.problems import ProblemError, Trouble
from unlatch.web.signing_in import CONSOLE, COOKIES

BOTH = frozenset({"consignee", "operator"})
HOMES = {"consignee": "/me", "operator": CONSOLE}
_AGENTS = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS X", "Mac"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip
MAX_AGENT = 400


def name_agent(header: str) -> str:
    """Which browser that is, as people call it."""
    browser = next((name for mark, name in _AGENTS if mark in header[:MAX_AGENT]), "?")
    system = next((name for mark, name in _SYSTEMS if mark in header[:MAX_AGENT]), "?")
    return f"{browser} / {system}"


def _agent(seen: Seen) -> str:
    return name_agent(seen.request.headers.get("user-agent", ""))


def safe_path(wanted: str | None, fallback: str) -> str:
    """Where to go next: a path of ours, never another site."""
    parts = urlsplit(wanted or "")
    is_ours = not parts.scheme and not parts.netloc and re.fullmatch(r"/[A-Za-z0-9_\-/]{0,200}", parts.path)
    return parts.path if is_ours and not parts.path.startswith("//") else fallback


async def _let_in(seen: Seen, entered: Entered, to: str | None) -> Response[Any]:
    await follow(seen, find_here(seen), entered.session)
    home = HOMES[entered.session.reader]
    is_secure = urlsplit(seen.platform.settings.public_url).scheme == "https"
    response = go_to(safe_path(to, home))
    response.cookies.append(
        Cookie(
            key=COOKIES[entered.session.reader],
            value=entered.token,
            path="/",
            max_age=int(SESSION_LASTS.total_seconds()),
            secure=is_secure,
            httponly=True,
            samesite="lax",
        )
    )
    return response


async def show_front(seen: Seen) -> Response[Any]:
    """The first page: who are you?"""
    if seen.session is not None:
        return go_to(HOMES[seen.session.reader])
    return render(seen, "front.html")


async def show_sign_in(seen: Seen) -> Response[Any]:
    to = safe_path(seen.request.query_params.get("to"), "")
    home = HOMES[seen.session.reader] if seen.session is not None else None
    if home is not None and (not to or to.startswith(home)):
        return go_to(to or home)
    return render(seen, "sign_in.html", to=to, is_sent=False)


def _slow_down(seen: Seen) -> None:
    client = seen.request.client.host if seen.request.client else "?"
    if not seen.platform.joining.lets_through(f"sign-in {client}"):
        raise ProblemError(Trouble.TOO_MANY, seen.say("Too many tries. Wait a few minutes."))


async def ask_for_link(seen: Seen) -> Response[Any]:
    """The answer is the same whether anyone has that address."""
    _slow_down(seen)
    mail = seen.form.get("mail", "").strip()
    if not re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,190}", mail):
        raise BadInput("mail", seen.say("give an address like ann@example.org"))
    await sign_in.send_link(seen.platform, mail, Language(seen.speech.language))
    return render(seen, "sign_in.html", to=safe_path(seen.form.get("to"), ""), is_sent=True)


async def show_link(seen: Seen) -> Response[Any]:
    """What a link leads to. A mail scanner that opens it uses nothing up: a person presses the button."""
    return render(seen, "sign_in_link.html")


async def enter_by_link(seen: Seen) -> Response[Any]:
    _slow_down(seen)
    entered = await sign_in.enter_by_link(seen.platform, seen.form.get("token", ""), _agent(seen))
    return await _let_in(seen, entered, None)


async def enter_by_key(seen: Seen) -> Response[Any]:
    _slow_down(seen)
    key = seen.form.get("key", "").strip()
    entered = await sign_in.enter_by_key(seen.platform, key, _agent(seen))
    return await _let_in(seen, entered, seen.form.get("to"))


def _json(text: str) -> Response[bytes]:
    return Response(text.encode(), media_type="application/json")


async def begin_passkey_sign_in(seen: Seen) -> Response[Any]:
    return _json(await sign_in.begin_sign_in(seen.platform))


async def finish_passkey_sign_in(seen: Seen) -> Response[Any]:
    _slow_down(seen)
    entered = await sign_in.finish_sign_in(seen.platform, seen.form.get("credential", ""), _agent(seen))
    return await _let_in(seen, entered, seen.form.get("to"))


async def show_step_up(seen: Seen) -> Response[Any]:
    async with seen.platform.database.connection() as connection:
        assert seen.session is not None
        known = await sessions.list_passkeys(connection, seen.session.reader, seen.session.reader_id)
    to = safe_path(seen.request.query_params.get("to"), "/")
    return render(seen, "step_up.html", to=to, has_passkey=bool(known))


async def begin_step_up(seen: Seen) -> Response[Any]:
    assert seen.session is not None
    return _json(await sign_in.begin_step_up(seen.platform, seen.session))


async def finish_step_up(seen: Seen) -> Response[Any]:
    assert seen.session is not None
    if key := seen.form.get("key", "").strip():  # who has no passkey yet gives their key once more
        entered = await sign_in.enter_by_key(seen.platform, key, _agent(seen))
        if entered.session.reader_id != seen.session.reader_id:
            raise NotAllowed(seen.say("This is somebody else's key."))
        async with seen.platform.database.connection() as connection:
            now = datetime.now(UTC)
            await sessions.end_session(
                connection,
                entered.session.id,
                reader=seen.session.reader,
                reader_id=seen.session.reader_id,
                now=now,
            )
            await sessions.set_proved(connection, seen.session.id, now)
    else:
        await sign_in.finish_step_up(seen.platform, seen.session, seen.form.get("credential", ""))
    return go_to(safe_path(seen.form.get("to"), "/"))


async def show_devices(seen: Seen) -> Response[Any]:
    assert seen.session is not None
    async with seen.platform.database.connection() as connection:
        reader, reader_id = seen.session.reader, seen.session.reader_id
        open_sessions = await sessions.list_sessions(connection, reader, reader_id, datetime.now(UTC))
        passkeys = await sessions.list_passkeys(connection, reader, reader_id)
    return render(seen, "devices.html", sessions=open_sessions, passkeys=passkeys, now=datetime.now(UTC))


async def begin_adding_passkey(seen: Seen) -> Response[Any]:
    assert seen.session is not None
    seen.require_step_up()
    return _json(await sign_in.begin_passkey(seen.platform, seen.session, seen.me.name))


async def finish_adding_passkey(seen: Seen) -> Response[Any]:
    assert seen.session is not None
    name = seen.form.get("name", "").strip() or _agent(seen)
    await sign_in.finish_passkey(seen.platform, seen.session, seen.form.get("credential", ""), name)
    return go_to(f"{seen.own}/devices")


async def remove_passkey(seen: Seen) -> Response[Any]:
    assert seen.session is not None
    seen.require_step_up()
    async with seen.platform.database.connection() as connection:
        await sessions.remove_passkey(
            connection, seen.form.get("passkey", ""), reader=seen.session.reader, reader_id=seen.session.reader_id,
            now=datetime.now(UTC),
        )  # fmt: skip
    return go_to(f"{seen.own}/devices")


async def end_session(seen: Seen) -> Response[Any]:
    """Sign out here, or another browser. What was told there is not told there any more."""
    assert seen.session is not None
    session_id = seen.form.get("session") or seen.session.id
    async with seen.platform.database.connection() as connection:
        await sessions.end_session(
            connection,
            session_id,
            reader=seen.session.reader,
            reader_id=seen.session.reader_id,
            now=datetime.now(UTC),
        )
    response = go_to("/" if session_id == seen.session.id else f"{seen.own}/devices")
    if session_id == seen.session.id:
        response.cookies.append(
            Cookie(
                key=COOKIES[seen.session.reader], value="", path="/", max_age=0, httponly=True, samesite="lax"
            )
        )
    return response


async def set_language(seen: Seen) -> Response[Any]:
    """Speak another language from now on, in this browser."""
    language = seen.form.get("language", "")
    if language not in LANGUAGES:
        raise BadInput("language", f"give one of {', '.join(LANGUAGES)}")
    response = go_to(safe_path(seen.form.get("to"), "/"))
    response.cookies.append(
        Cookie(key=LANGUAGE_COOKIE, value=language, path="/", max_age=31_536_000, samesite="lax")
    )
    return response


def list_own(prefix: str = "", readers: frozenset[str] = BOTH) -> list[Page]:
    """What everyone who is signed in has. Under the console's prefix an operator is meant."""
    table: tuple[tuple[str, str, Show], ...] = (
        ("GET", "/step-up", show_step_up),
        ("POST", "/step-up/begin", begin_step_up),
        ("POST", "/step-up", finish_step_up),
        ("GET", "/devices", show_devices),
        ("POST", "/devices/passkey/begin", begin_adding_passkey),
        ("POST", "/devices/passkey", finish_adding_passkey),
        ("POST", "/devices/passkey/remove", remove_passkey),
        ("POST", "/sign-out", end_session),
    )
    return [
        Page(method=method, path=prefix + path, show=show, readers=readers) for method, path, show in table
    ]


PAGES = (
    Page(method="GET", path="/", show=show_front),
    Page(method="GET", path="/sign-in", show=show_sign_in),
    Page(method="POST", path="/sign-in/mail", show=ask_for_link),
    Page(method="GET", path="/sign-in/link", show=show_link),
    Page(method="POST", path="/sign-in/link", show=enter_by_link),
    Page(method="POST", path="/sign-in/key", show=enter_by_key),
    Page(method="POST", path="/sign-in/passkey/begin", show=begin_passkey_sign_in),
    Page(method="POST", path="/sign-in/passkey", show=finish_passkey_sign_in),
    *list_own(),
    *list_own(CONSOLE, frozenset({"operator"})),
    Page(method="POST", path="/language", show=set_language),
)
