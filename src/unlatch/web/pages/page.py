"""The table of pages: who may see each, and how a request for one is answered.

    cookie -> session -> person -> may they? -> for a POST: is it from our own page? -> the page's function -> HTML

A POST is taken from our own origin alone, with the session's own word (`csrf`). Pages read through the functions of
the API (`ask`), so that what a person sees is what their program would be told.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler
from psycopg import AsyncConnection

from unlatch.errors import BadInput, Conflict, NotAllowed, NotFound, TooOften, UnlatchError
from unlatch.flow.platform import Platform
from unlatch.flow.sign_in import hash_token, is_settled, needs_step_up
from unlatch.store import sessions
from unlatch.store.sessions import Person, SessionRow
from unlatch.web.cinema import Cinema
from unlatch.web.darkroom import Darkroom
from unlatch.web.endpoints import Asked, Run
from unlatch.web.pages import assets
from unlatch.web.pages.language import LANGUAGES, Speech, choose_language
from unlatch.web.pages.refusals import said
from unlatch.web.problems import TROUBLES, ProblemError, Trouble
from unlatch.web.signing_in import ANYONE, CONSOLE, Asker, Reader, choose_token, csrf_of, is_own_origin
from unlatch.web.streaming import Hub

LANGUAGE_COOKIE = "unlatch_language"
MAX_FORM_BYTES = 64 * 1024
MAX_FORM_FIELDS = 100
HTML = "text/html; charset=utf-8"
REFERRER = {"referrer-policy": "same-origin"}  # so that a step-up leads back to where it was asked for
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'{script}; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "frame-src 'none'; form-action 'self'; frame-ancestors {ancestors}; base-uri 'none'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request for a page, as its function meets it."""

    platform: Platform
    request: Request[Any, Any, Any]
    hub: Hub
    darkroom: Darkroom
    cinema: Cinema
    speech: Speech
    session: SessionRow | None
    person: Person | None
    token: str | None
    path: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def me(self) -> Person:
        """Who is signed in; for pages that are for somebody."""
        assert self.person is not None
        return self.person

    @property
    def csrf(self) -> str:
        """What a form of this session bears, and nobody else can know."""
        return csrf_of(self.token) if self.token else ""

    @property
    def own(self) -> str:
        """Before the path of a page that both kinds of people have, so that this one is meant."""
        return CONSOLE if self.session is not None and self.session.reader == "operator" else ""

    def say(self, message: str, **values: object) -> str:
        """A text in the reader's language."""
        return self.speech.text(message, **values)

    def at_zone(self, zone: str) -> Seen:
        """The same, with times of another place."""
        return replace(self, speech=Speech(self.speech.language, zone))

    async def ask(self, run: Run, *, body: Any = None, query: Any = None, **path: str) -> Any:
        """What an endpoint of the API answers this person. Raises what it raises (ProblemError, UnlatchError)."""
        return await run(self._asked(body, query, path))

    async def ask_in_transaction(self, run: Run, *, body: Any = None, query: Any = None, **path: str) -> Any:
        """The same for an endpoint whose work and answer are one transaction."""
        async with self.platform.database.transaction() as connection:
            return await run(self._asked(body, query, path, connection))

    def _asked(
        self, body: Any, query: Any, path: dict[str, str], transaction: AsyncConnection | None = None
    ) -> Asked[Any]:
        asker = ANYONE if self.session is None else asker_of(self.session, self.me)
        return Asked(
            platform=self.platform, asker=asker, body=body, path=path, query=query,
            request=self.request, hub=self.hub, darkroom=self.darkroom, cinema=self.cinema, transaction=transaction,
            language="fr" if self.speech.language == "fr" else "en",
        )  # fmt: skip

    def require_step_up(self) -> None:
        """Raises StepUpNeeded unless its person has shown lately who they are."""
        assert self.session is not None
        if needs_step_up(self.session, datetime.now(UTC)):
            raise StepUpNeeded

    def require_settled(self) -> None:
        """Raises Conflict where this browser is too new to widen anything."""
        assert self.session is not None
        if not is_settled(self.session, datetime.now(UTC)):
            raise Conflict(
                self.say("This browser is new here. For your safety it can widen access from %(when)s on.",
                         when=self.speech.moment(self.session.settles_at))
            )  # fmt: skip


class StepUpNeeded(UnlatchError):
    """First show once more who you are."""


Show = Callable[[Seen], Awaitable[Response[Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One line of the table. `readers` empty: anyone."""

    method: str
    path: str
    show: Show
    readers: frozenset[str] = frozenset()
    show_outside: Show | None = None  # to who is not signed in; None: the door
    max_bytes: int = MAX_FORM_BYTES  # of a form


def asker_of(session: SessionRow, person: Person) -> Asker:
    """A browser's person as the API knows them."""
    return Asker(
        reader=Reader(session.reader),
        id=session.reader_id,
        carrier_id=person.carrier_id,
        language=person.language,
        session=session,
    )


# ---- rendering --------------------------------------------------------------------------------------------


@cache
def environment(language: str) -> Environment:
    """The templates in one language."""
    made = Environment(
        loader=PackageLoader("unlatch.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    speech = Speech(language)
    made.install_gettext_callables(  # type: ignore[attr-defined]
        speech._texts.gettext,  # noqa: SLF001 - the catalogue itself
        speech._texts.ngettext,  # noqa: SLF001
        newstyle=True,
    )
    made.globals["asset"] = assets.address_of
    return made


def render(
    seen: Seen,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    script: str = "",
    **values: Any,
) -> Response[bytes]:
    """A page, or a part of one. `script`: what it may run besides our own, as a policy says it."""
    text = environment(seen.speech.language).get_template(template).render(
        seen=seen, speech=seen.speech, person=seen.person, csrf=seen.csrf, language=seen.speech.language,
        languages=LANGUAGES, path_now=seen.request.scope["path"], own=seen.own, **values,
    )  # fmt: skip
    rules = {**policy(ancestors=seen.platform.settings.framed_by or "'none'", script=script), **REFERRER}
    return Response(text.encode(), status_code=status, media_type=HTML, headers={**rules, **(headers or {})})


def policy(*, ancestors: str = "'none'", script: str = "") -> dict[str, str]:
    """The content security policy of a page: who may frame it, what it may run besides our own scripts."""
    text = CONTENT_SECURITY_POLICY.format(ancestors=ancestors, script=script and f" {script}")
    return {"content-security-policy": text}


def go_to(path: str, *, cookies: Mapping[str, str] | None = None) -> Response[bytes]:
    """On to another page (after a POST)."""
    return Response(b"", status_code=303, headers={"location": path, **(cookies or {})})


# ---- answering --------------------------------------------------------------------------------------------


def make_page_handler(
    page: Page, platform: Platform, hub: Hub, darkroom: Darkroom, cinema: Cinema
) -> HTTPRouteHandler:
    """The route of one page."""

    async def answer(request: Request[Any, Any, Any]) -> Response[Any]:
        seen = await look(request, page.readers, platform, hub, darkroom, cinema)
        is_outside = page.readers and (seen.session is None or seen.session.reader not in page.readers)
        if is_outside and page.show_outside is None:
            return _ask_to_sign_in(seen)
        try:
            _check_names(seen)
            if is_outside and page.show_outside is not None:
                return await page.show_outside(seen)
            if page.method == "POST":
                seen = replace(seen, form=await read_form(seen, is_of_session=bool(page.readers)))
            return await page.show(seen)
        except StepUpNeeded:
            return _show_once_more(seen)
        except (ProblemError, BadInput, Conflict, NotAllowed, NotFound, TooOften) as error:
            return show_problem(seen, error)

    answer.__name__ = f"page_{page.show.__name__}"
    return HTTPRouteHandler(
        page.path.replace("}", ":str}"),
        http_method=page.method,  # type: ignore[arg-type]
        status_code=200,
        request_max_body_size=page.max_bytes,
        name=f"{page.method} {page.path}",
    )(answer)


def _check_names(seen: Seen) -> None:
    """Raises NotFound where the address holds what can name nothing, BadInput where its question is no text."""
    if not all(name.isprintable() for name in seen.path.values()):
        raise NotFound("there is nothing of that name")
    if any("\0" in value for value in seen.request.query_params.values()):
        raise BadInput("form", "send text alone")


async def look(
    request: Request[Any, Any, Any],
    readers: frozenset[str],
    platform: Platform,
    hub: Hub,
    darkroom: Darkroom,
    cinema: Cinema,
) -> Seen:
    """Who asks, and in which language."""
    token = choose_token(request, readers)
    session = person = None
    if token is not None:
        async with platform.database.connection() as connection:
            session = await sessions.find_session(connection, hash_token(token), datetime.now(UTC))
            if session is not None:
                person = await sessions.find_person(connection, session.reader, session.reader_id)
    language = choose_language(
        person.language if person else None,
        request.cookies.get(LANGUAGE_COOKIE),
        request.headers.get("accept-language", "")[:500],
    )
    return Seen(
        platform=platform, request=request, hub=hub, darkroom=darkroom, cinema=cinema,
        speech=Speech(language),
        session=session if person else None, person=person, token=token if person else None,
        path=dict(request.path_params),
    )  # fmt: skip


async def read_form(seen: Seen, *, is_of_session: bool) -> dict[str, str]:
    """The fields of a form of ours, which bears its session's word. Raises ProblemError where it is none."""
    if not is_own_origin(seen.request, seen.platform):
        raise ProblemError(Trouble.NOT_ALLOWED, "this form was not sent by a page of ours")
    raw = await seen.request.body()
    kind = seen.request.headers.get("content-type", "").partition(";")[0].strip()
    try:
        if kind == "application/x-www-form-urlencoded":
            pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
        else:
            pairs = []
    except ValueError:
        raise BadInput("form", "send fewer fields, in UTF-8") from None
    form = dict(pairs)
    if any("\0" in value for value in form.values()):
        raise BadInput("form", "send text alone")
    given = form.pop("csrf", "") or seen.request.headers.get("x-unlatch-csrf", "")
    if is_of_session and not hmac.compare_digest(given.encode(), seen.csrf.encode()):
        raise ProblemError(Trouble.NOT_ALLOWED, "this form is too old: load the page again")
    return form


def show_problem(seen: Seen, error: Exception) -> Response[bytes]:
    """What went wrong, as a page (or as a part of one, if a part was asked for)."""
    status, text, headers = 400, said(seen.speech, str(error)), {}
    if isinstance(error, ProblemError):
        status, title = TROUBLES[error.trouble]
        text = said(seen.speech, error.detail) if error.detail else seen.say(title)
    elif isinstance(error, NotFound):
        status, text = 404, seen.say("There is no such page, or none that you may see.")
    elif isinstance(error, Conflict):
        status = 409
    elif isinstance(error, NotAllowed):
        status = 403
    elif isinstance(error, TooOften):
        status, headers = 429, {"retry-after": str(error.retry_after_s)}
    is_part = seen.request.headers.get("hx-request") == "true"
    template = "problem_part.html" if is_part else "problem.html"
    return render(seen, template, status=status, headers=headers, text=text)


def _ask_to_sign_in(seen: Seen) -> Response[bytes]:
    path = seen.request.scope["path"]
    if seen.request.headers.get("hx-request") == "true":
        return Response(b"", status_code=200, headers={"hx-redirect": f"/sign-in?to={quote(path)}"})
    return go_to(f"/sign-in?to={quote(path)}")


def _show_once_more(seen: Seen) -> Response[bytes]:
    """To the page that asks for a passkey, and from there to the page that was wanted, or whence a form was sent."""
    came_from = seen.request.scope["path"]
    if seen.request.method != "GET":
        came_from = urlsplit(seen.request.headers.get("referer", "")).path or "/"
    where = f"{seen.own}/step-up?to={quote(came_from)}"
    if seen.request.headers.get("hx-request") == "true":
        return Response(b"", status_code=200, headers={"hx-redirect": where})
    return go_to(where)
