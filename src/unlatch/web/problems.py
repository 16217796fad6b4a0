"""Every refusal as a problem document (RFC 9457): what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from unlatch.errors import (
    BadInput,
    Conflict,
    DatabaseDown,
    NotAllowed,
    NotFound,
    TooOften,
    UnlatchError,
)

MEDIA_TYPE = "application/problem+json"
MAX_ECHO = 200  # characters of a message that may hold what the client sent


class Trouble(StrEnum):
    """The kinds of problem. The type of a problem is `/v1/docs#problem-` and this word."""

    BAD_INPUT = auto()
    NOT_SIGNED_IN = auto()
    NOT_ALLOWED = auto()
    REFUSED = auto()
    NOT_FOUND = auto()
    METHOD_NOT_ALLOWED = auto()
    CONFLICT = auto()
    NOT_OFFERED = auto()
    UNDER_WAY = auto()
    TOO_LARGE = auto()
    WRONG_MEDIA_TYPE = auto()
    OUT_OF_RANGE = auto()
    KEY_REUSED = auto()
    LABEL_UNREADABLE = auto()
    TOO_MANY = auto()
    UNAVAILABLE = auto()
    DAMAGED = auto()
    BROKEN = auto()


TROUBLES: Mapping[Trouble, tuple[int, str]] = MappingProxyType(
    {
        Trouble.BAD_INPUT: (400, "A value can't be used"),
        Trouble.NOT_SIGNED_IN: (401, "Who asks is not known"),
        Trouble.NOT_ALLOWED: (403, "Who asks may not do this"),
        Trouble.REFUSED: (403, "Not here, or not now"),
        Trouble.NOT_FOUND: (404, "There is no such thing, or none that may be seen"),
        Trouble.METHOD_NOT_ALLOWED: (405, "This address does not take that method"),
        Trouble.CONFLICT: (409, "This contradicts what has been recorded"),
        Trouble.NOT_OFFERED: (409, "The place is not offered for this, or that depends on what was not told"),
        Trouble.UNDER_WAY: (409, "The same request is still under way"),
        Trouble.TOO_LARGE: (413, "The request is too large"),
        Trouble.WRONG_MEDIA_TYPE: (415, "The body must be application/json"),
        Trouble.OUT_OF_RANGE: (416, "That range of bytes is not there"),
        Trouble.KEY_REUSED: (422, "This idempotency key belongs to another request"),
        Trouble.LABEL_UNREADABLE: (422, "No parcel's label could be read"),
        Trouble.TOO_MANY: (429, "Too many at once"),
        Trouble.UNAVAILABLE: (503, "The platform can't answer just now"),
        Trouble.DAMAGED: (500, "What was kept is not what was recorded"),
        Trouble.BROKEN: (500, "Something of ours is broken"),
    }
)


class FieldError(Struct, kw_only=True):
    """One value that can't be used."""

    field: Annotated[str, Meta(description="Where it stands, as in position.latitude")]
    remedy: Annotated[str, Meta(description="What to do about it")]


class ReasonShown(Struct, kw_only=True):
    """One reason of a refusal, the culprit in front."""

    code: Annotated[str, Meta(examples=["courier_too_early"])]
    text: Annotated[str, Meta(description="For the reader, in their language")]
    parcels: (
        Annotated[
            list[int],
            Meta(description="Of several parcels, those that it is about, counted from 0; left out: all"),
        ]
        | UnsetType
    ) = UNSET


class Problem(Struct, kw_only=True, omit_defaults=True):
    """A problem (RFC 9457)."""

    type: Annotated[str, Meta(examples=["/v1/docs#problem-bad_input"])]
    title: str
    status: int
    detail: str | UnsetType = UNSET
    text: (
        Annotated[
            str,
            Meta(
                description="What to tell a person, in the language of Accept-Language; left out in English, "
                "and where each reason bears its own"
            ),
        ]
        | UnsetType
    ) = UNSET
    instance: Annotated[str, Meta(description="The address that was asked")] | UnsetType = UNSET
    errors: Annotated[list[FieldError], Meta(description="With bad_input: each field")] | UnsetType = UNSET
    reasons: Annotated[list[ReasonShown], Meta(description="With refused, not_offered: each")] | UnsetType = (
        UNSET
    )


class ProblemError(Exception):
    """A request ends with this problem."""

    def __init__(
        self,
        trouble: Trouble,
        detail: str | None = None,
        *,
        errors: list[FieldError] | None = None,
        reasons: list[ReasonShown] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or trouble)
        self.trouble = trouble
        self.detail = detail
        self.errors = errors
        self.reasons = reasons
        self.headers = dict(headers or {})


def encode_problem(error: ProblemError, instance: str, text: str | None = None) -> tuple[int, bytes]:
    """Status and body of a problem. `text`: what a person is told who reads no English."""
    status, title = TROUBLES[error.trouble]
    problem = Problem(
        type=f"/v1/docs#problem-{error.trouble}",
        title=title,
        status=status,
        detail=error.detail if error.detail is not None else UNSET,
        text=text if text is not None else UNSET,
        instance=instance,
        errors=error.errors if error.errors is not None else UNSET,
        reasons=error.reasons if error.reasons is not None else UNSET,
    )
    return status, msgspec.json.encode(problem)


def bad_input(field: str, remedy: str) -> ProblemError:
    """One field can't be used."""
    errors = [FieldError(field=field[:MAX_ECHO], remedy=remedy[:MAX_ECHO])]
    return ProblemError(Trouble.BAD_INPUT, f"{field[:MAX_ECHO]}: {remedy[:MAX_ECHO]}", errors=errors)


def problem_of(error: UnlatchError) -> ProblemError:
    """The problem that an error of ours is. What a client can't mend is not told in detail."""
    if isinstance(error, BadInput):
        return bad_input(error.field, error.remedy)
    if isinstance(error, NotFound):
        return ProblemError(Trouble.NOT_FOUND, str(error))
    if isinstance(error, NotAllowed):
        return ProblemError(Trouble.NOT_ALLOWED, str(error))
    if isinstance(error, Conflict):
        return ProblemError(Trouble.CONFLICT, str(error))
    if isinstance(error, TooOften):
        headers = {"Retry-After": str(error.retry_after_s)}
        return ProblemError(Trouble.TOO_MANY, str(error), headers=headers)
    if isinstance(error, DatabaseDown):
        return ProblemError(Trouble.UNAVAILABLE, "try again in a moment", headers={"Retry-After": "2"})
    return ProblemError(Trouble.BROKEN)


def problem_of_status(status: int, headers: Mapping[str, str] | None = None) -> ProblemError:
    """The problem of an answer that the web framework itself gave."""
    by_status = {
        HTTPStatus.NOT_FOUND: Trouble.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED: Trouble.METHOD_NOT_ALLOWED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Trouble.TOO_LARGE,
        HTTPStatus.UNAUTHORIZED: Trouble.NOT_SIGNED_IN,
        HTTPStatus.FORBIDDEN: Trouble.NOT_ALLOWED,
    }
    fallback = Trouble.BAD_INPUT if 400 <= status < 500 else Trouble.BROKEN
    return ProblemError(by_status.get(HTTPStatus(status), fallback), headers=headers)
