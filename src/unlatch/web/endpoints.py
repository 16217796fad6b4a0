"""The table of endpoints: who may ask what, what it takes and gives. Routes, OpenAPI and tests follow from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any, Generic, TypeVar

import msgspec
from litestar import Request, Response
from psycopg import AsyncConnection

from unlatch.flow.platform import Platform
from unlatch.store.idempotency import ClaimedKey
from unlatch.web.cinema import Cinema
from unlatch.web.darkroom import Darkroom
from unlatch.web.problems import Trouble
from unlatch.web.shapes import Language
from unlatch.web.signing_in import Asker, Reader
from unlatch.web.streaming import Hub

MAX_JSON_BYTES = 64 * 1024

Body = TypeVar("Body")


class Repeat(StrEnum):
    """What a repeated request (same idempotency key) meets. See `store/idempotency.py`."""

    FREE = auto()  # changes nothing, or is the same said twice: no key is needed
    IN_TRANSACTION = auto()  # the answer is kept in the transaction that does the work
    CLAIMED = auto()  # the key is claimed first: the work has transactions of its own
    BY_NATURE = auto()  # a key is required, but saying the same twice gives the same: nothing is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Generic[Body]):
    """One request, signed in, its body checked."""

    platform: Platform
    asker: Asker
    body: Body
    path: dict[str, str]
    query: Any  # the endpoint's query struct
    request: Request[Any, Any, Any]
    hub: Hub
    darkroom: Darkroom
    cinema: Cinema
    transaction: AsyncConnection | None = None
    language: Language | None = None  # of the page that asks
    claimed: ClaimedKey | None = None  # of a CLAIMED request: what it makes, and whether it was tried before

    @property
    def connection(self) -> AsyncConnection:
        """The transaction of this request; its work and its kept answer commit together."""
        assert self.transaction is not None, "only where the endpoint repeats IN_TRANSACTION"
        return self.transaction


Run = Callable[[Asked[Any]], Awaitable[Any]]
Ask = Callable[[Asked[Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One line of the table."""

    method: str
    path: str
    readers: frozenset[Reader]  # empty: anyone
    run: Run
    summary: str
    detail: str
    takes: type[msgspec.Struct] | None
    takes_nothing: bool  # a POST without a body
    query: type[msgspec.Struct] | None
    gives: type[msgspec.Struct] | None  # None: not JSON, see `media_type`
    media_type: str
    status: int
    repeat: Repeat
    troubles: tuple[Trouble, ...]
    max_body_bytes: int
    tag: str
    examples: tuple[Any, ...] = field(default=())
    is_closing: bool = False  # leads to a lock: has database connections of its own (L5)
    widens: bool = False  # who may open, see or sign in: a browser shows once more who it is, and is not new
    destroys: bool = False  # what can't be had back: a browser shows once more who it is
    ask_first: Ask | None = None  # asks the world outside, before the transaction of IN_TRANSACTION begins
    makes: str = "new"  # the kind of what a CLAIMED request makes, as its identifier names it

    @property
    def name(self) -> str:
        """The operation's id: the name of its function."""
        return self.run.__name__

    @property
    def path_names(self) -> list[str]:
        """The names in the path's braces."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


class EndpointTable:
    """The endpoints of one file of `api/`."""

    def __init__(self, tag: str, description: str) -> None:
        self.tag = tag
        self.description = description
        self.endpoints: list[Endpoint] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        readers: Sequence[Reader],
        summary: str,
        takes: type[msgspec.Struct] | None = None,
        query: type[msgspec.Struct] | None = None,
        gives: type[msgspec.Struct] | None = None,
        media_type: str = "application/json",
        status: int = 200,
        repeat: Repeat = Repeat.FREE,
        troubles: Sequence[Trouble] = (),
        max_body_bytes: int = MAX_JSON_BYTES,
        examples: Sequence[Any] = (),
        is_closing: bool = False,
        widens: bool = False,
        destroys: bool = False,
        ask_first: Ask | None = None,
        makes: str = "new",
    ) -> Callable[[Run], Run]:
        """Put the decorated function into the table; its docstring is the endpoint's description."""
        if method == "POST" and repeat is Repeat.FREE:
            raise ValueError(f"{path}: every POST says how it stands being repeated")

        def add(run: Run) -> Run:
            self.endpoints.append(
                Endpoint(
                    method=method,
                    path=path,
                    readers=frozenset(readers),
                    run=run,
                    summary=summary,
                    detail=" ".join((run.__doc__ or "").split()),
                    takes=takes,
                    takes_nothing=method == "POST" and takes is None,
                    query=query,
                    gives=gives,
                    media_type=media_type,
                    status=status,
                    repeat=repeat,
                    troubles=tuple(troubles),
                    max_body_bytes=max_body_bytes,
                    tag=self.tag,
                    examples=tuple(examples),
                    is_closing=is_closing,
                    widens=widens,
                    destroys=destroys,
                    ask_first=ask_first,
                    makes=makes,
                )
            )
            return run

        return add


__all__ = ["Asked", "Endpoint", "EndpointTable", "Repeat", "Response"]
