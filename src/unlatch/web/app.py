"""The HTTP application: routes from the table of endpoints, problems from every failure, headers on every answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import Message, Scope
from psycopg import OperationalError
from psycopg.errors import TransactionTimeout

from unlatch.errors import DatabaseDown, UnknownSchema, UnlatchError
from unlatch.flow.platform import Platform
from unlatch.store.migrate import check_schema
from unlatch.web import watch_page
from unlatch.web.answering import make_handler
from unlatch.web.api import (
    camera_feed,
    carrier,
    channels,
    claims,
    consignee,
    courier,
    courier_card,
    deliveries,
    desk,
    eligibility,
    enrolment,
    erasure,
    freezes,
    homes,
    household,
    linking,
    newcomer,
    notices,
    operator,
    options,
    passes,
    ratings,
    retention,
    stops,
    viewing,
    visits,
    watching,
)
from unlatch.web.camera_page import make_camera_routes
from unlatch.web.cinema import Cinema
from unlatch.web.darkroom import Darkroom
from unlatch.web.endpoints import MAX_JSON_BYTES, EndpointTable
from unlatch.web.live_socket import make_live_route
from unlatch.web.openapi import make_document
from unlatch.web.page import CONTENT_SECURITY_POLICY, make_page
from unlatch.web.pages.all_pages import list_pages
from unlatch.web.pages.assets import make_handler as make_asset_handler
from unlatch.web.pages.language import Speech
from unlatch.web.pages.page import make_page_handler
from unlatch.web.pages.refusals import text_of
from unlatch.web.problems import (
    MEDIA_TYPE,
    ProblemError,
    Trouble,
    encode_problem,
    problem_of,
    problem_of_status,
)
from unlatch.web.shapes import say_language
from unlatch.web.streaming import Hub

log = logging.getLogger(__name__)

TABLES: Sequence[EndpointTable] = (
    carrier.TABLE,
    options.TABLE,
    newcomer.TABLE,
    courier.TABLE,
    courier_card.TABLE,
    consignee.TABLE,
    deliveries.TABLE,
    household.TABLE,
    homes.TABLE,
    enrolment.TABLE,
    operator.TABLE,
    freezes.TABLE,
    desk.TABLE,
    visits.TABLE,
    viewing.TABLE,
    watching.TABLE,
    ratings.TABLE,
    claims.TABLE,
    eligibility.TABLE,
    stops.TABLE,
    camera_feed.TABLE,
    linking.TABLE,
    notices.TABLE,
    channels.TABLE,
    passes.TABLE,
    retention.TABLE,
    erasure.TABLE,
)
SECURITY_HEADERS: list[tuple[bytes, bytes]] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
]
NOT_KEPT = (b"cache-control", b"no-store")


def find_version() -> str:
    """The version of this release."""
    try:
        return version("unlatch")
    except PackageNotFoundError:  # run from its source, not installed
        return "from source"


def create_app(platform: Platform) -> Litestar:
    """The application of one process. The platform's database must be open."""
    hub, darkroom, cinema = Hub(platform.database), Darkroom(), Cinema(platform)
    handlers = [
        HTTPRouteHandler(
            _route(endpoint.path),
            http_method=endpoint.method,  # type: ignore[arg-type]
            status_code=endpoint.status,
            name=endpoint.name,
            request_max_body_size=endpoint.max_body_bytes,
        )(make_handler(endpoint, platform, hub, darkroom, cinema))
        for table in TABLES
        for endpoint in table.endpoints
    ]
    return Litestar(
        route_handlers=[
            *handlers,
            *_pages(platform),
            make_asset_handler(),
            *(make_page_handler(page, platform, hub, darkroom, cinema) for page in list_pages()),
            *make_camera_routes(platform),
            camera_feed.make_feed_handler(platform),
            *watch_page.make_routes(platform),
            make_live_route(platform, cinema.live),
        ],
        exception_handlers={Exception: answer_error},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MAX_JSON_BYTES,
        before_send=[add_headers],
        on_shutdown=[hub.close, cinema.close],
        debug=False,
    )


def _route(path: str) -> str:
    """The path as Litestar writes it."""
    return path.replace("}", ":str}")


async def add_headers(message: Message, _: Scope) -> None:
    """What every answer bears, those of the framework itself included."""
    if message["type"] != "http.response.start":
        return
    headers = [(name, value) for name, value in message["headers"] if name.lower() != b"server"]
    if not any(name.lower() == b"cache-control" for name, _ in headers):
        headers.append(NOT_KEPT)
    given = {name.lower() for name, _ in headers}  # a page with a script says itself what it may do
    message["headers"] = [*headers, *(one for one in SECURITY_HEADERS if one[0] not in given)]


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Any failure as a problem. What is ours alone is logged by its kind, and not told."""
    problem = _find_problem(error)
    speech = Speech(say_language(request.headers.get("accept-language")))
    status, content = encode_problem(problem, request.scope["path"][:500], text_of(speech, problem))
    if status >= 500:
        # The message of an error may hold what a client sent: the trace shows the place, never the values.
        log.error("%s %s failed: %s", request.method, _name_route(request), _trace(error))
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=problem.headers)


def _find_problem(error: Exception) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, HTTPException):
        return problem_of_status(error.status_code, error.headers)
    # No connection in time, a row that is held for too long, a deadlock: the same again may well succeed.
    if isinstance(error, OperationalError | TransactionTimeout):
        return problem_of(DatabaseDown())
    if isinstance(error, UnlatchError):
        return problem_of(error)
    return ProblemError(Trouble.BROKEN)


def _name_route(request: Request[Any, Any, Any]) -> str:
    handler = request.scope.get("route_handler")
    return getattr(handler, "name", None) or "unknown"


def _trace(error: BaseException) -> str:
    """Where an error came from, without any value."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(error).__name__} at {' > '.join(places[-8:])}"


@cache
def _describe(address: str) -> tuple[bytes, bytes]:
    """The manual's page of the API at this address, and its document."""
    document = make_document(TABLES, version=find_version(), address=address)
    return make_page(document), msgspec.json.encode(document)


def _pages(platform: Platform) -> list[HTTPRouteHandler]:
    """What is served as it stands, and whether this process is well."""
    page, schema = _describe(platform.settings.public_url)

    def fixed(path: str, content: bytes, media_type: str) -> HTTPRouteHandler:
        async def give() -> Response[bytes]:
            return Response(content, media_type=media_type, headers={"cache-control": "max-age=300"})

        return _get(path)(give)

    async def live() -> Response[bytes]:
        return Response(b'{"is_live":true}', media_type="application/json")

    async def ready() -> Response[bytes]:
        try:
            async with platform.database.connection() as connection:
                await check_schema(connection)
        except (DatabaseDown, UnknownSchema, OperationalError) as error:
            log.warning("not ready: %s", type(error).__name__)
            raise ProblemError(Trouble.UNAVAILABLE, "the database can't be used") from error
        return Response(b'{"is_ready":true}', media_type="application/json")

    return [
        fixed("/v1/docs", page, "text/html; charset=utf-8"),
        fixed("/v1/openapi.json", schema, "application/json"),
        _get("/healthz")(live),
        _get("/readyz")(ready),
    ]


def _get(path: str) -> Callable[[Any], HTTPRouteHandler]:
    return HTTPRouteHandler(path, http_method="GET", status_code=200)
