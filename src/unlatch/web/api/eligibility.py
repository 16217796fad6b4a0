"""The eligibility checker, open to anyone: would this car, at this address, be offered? And the rules in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from unlatch.domain.amount import read_box_mm, read_money, read_weight_g
from unlatch.domain.eligibility import Area, ParcelDescription, Vehicle, Verdict
from unlatch.domain.eligibility_wording import reason_text
from unlatch.domain.wording import Language
from unlatch.flow.eligibility import Answer, Question, check_eligibility
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import ProblemError, ReasonShown, Trouble, bad_input
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import PositionGiven, Word
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("eligibility", "For anyone, without an account; for operators, the rules in force.")
MAX_BYTES = 4096

Amount = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[0-9A-Za-z.\u00d7 ]+$")]
Value = TypeVar("Value")


class VehicleAsked(Struct, kw_only=True, forbid_unknown_fields=True):
    """A car. What is left out is not known."""

    make: Annotated[Word, Meta(examples=["Chevrolet"])] | None = None
    model_year: Annotated[int, Meta(ge=1980, le=2100, examples=[2018])] | None = None
    vin: (
        Annotated[
            str,
            Meta(
                max_length=17,
                pattern="^[0-9A-Za-z]*$",
                description="Not kept",
                examples=["1G1ZB5ST7JF100003"],
            ),
        ]
        | None
    ) = None
    has_service: (
        Annotated[bool, Meta(description="Whether the car's connected service is subscribed to")] | None
    ) = None
    account_kind: Annotated[Word, Meta(description="As its maker names it", examples=["newer"])] | None = None


class ParcelAsked(Struct, kw_only=True, forbid_unknown_fields=True):
    """A parcel, measured in metric or imperial units."""

    weight: Annotated[Amount, Meta(examples=["12.5 lb", "5.7 kg"])] | None = None
    dimensions: Annotated[Amount, Meta(examples=["26 x 21 x 16 in"])] | None = None
    value: Annotated[Amount, Meta(examples=["49.90 USD"])] | None = None
    needs_signature: bool | None = None
    is_sold_by_merchant: bool | None = None
    is_dangerous: bool | None = None


class EligibilityRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """An address, a car, and if wanted a parcel."""

    country: Annotated[str, Meta(pattern="^[A-Z]{2}$", max_length=2, examples=["US"])] = "US"
    postcode: (
        Annotated[str, Meta(pattern="^[0-9A-Za-z -]{1,12}$", max_length=12, examples=["98109"])] | None
    ) = None
    position: PositionGiven | None = None
    plan: Annotated[Word, Meta(description="Which plan one is a member of; `none` for none")] | None = None
    vehicle: VehicleAsked
    parcel: ParcelAsked | None = None
    programme: (
        Annotated[
            Word,
            Meta(description="By which rules; left out: `launch-2018` if it is there", examples=["open"]),
        ]
        | None
    ) = None


class AreaShown(Struct, kw_only=True):
    """The area of the coverage in which the address lies."""

    name: str
    is_confirmed: Annotated[
        bool, Meta(description="Whether a source names it; otherwise it is an assumption")
    ]


class EligibilityShown(Struct, kw_only=True):
    """Offered, or why not."""

    verdict: Annotated[
        Verdict, Meta(description="`depends`: nothing stands against it but what was not told")
    ]
    reasons: list[ReasonShown]
    area: AreaShown | None
    is_by_postcode: Annotated[
        bool, Meta(description="Judged by the middle of the postcode's area, which may lie elsewhere")
    ]
    make: str | None
    service: Annotated[str | None, Meta(description="The connected service that this make needs")]
    programme: str
    rules_version: str


class RulesShown(Struct, kw_only=True):
    """The rules by which this server judges."""

    version: str
    programmes: list[str]
    trouble: Annotated[str | None, Meta(description="Why the latest edit is not in force")]


@TABLE.add(
    "POST",
    "/v1/eligibility",
    readers=(),
    summary="Check an address and a car",
    takes=EligibilityRequest,
    gives=EligibilityShown,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.TOO_MANY,),
    max_body_bytes=MAX_BYTES,
    examples=(
        {
            "postcode": "98109",
            "plan": "prime",
            "vehicle": {"make": "Volvo", "model_year": 2018, "has_service": True},
        },
    ),
)
async def check(asked: Asked[EligibilityRequest]) -> EligibilityShown:
    """Answers with every reason, worded as `Accept-Language` asks (en, fr). Nothing is kept. Needs no account;
    each server answers 100 a second. Give a postcode or, better, a position.
    """
    if not asked.platform.turnstile.lets_through():
        raise ProblemError(Trouble.TOO_MANY, "try again in a moment", headers={"Retry-After": "1"})
    body = asked.body
    if body.postcode is None and body.position is None:
        raise bad_input("postcode", "give a postcode or a position")
    answer = await check_eligibility(
        asked.platform,
        Question(
            country=body.country,
            position=body.position.position() if body.position else None,
            postcode=body.postcode,
            vehicle=Vehicle(
                make=body.vehicle.make,
                model_year=body.vehicle.model_year,
                vin=body.vehicle.vin or None,
                has_service=body.vehicle.has_service,
            ),
            account_kind=body.vehicle.account_kind,
            plans=frozenset({body.plan}) if body.plan is not None else None,
            parcel=read_parcel(body.parcel, "parcel") if body.parcel is not None else None,
            programme=body.programme,
        ),
    )
    return _show(answer, Language(language_of(asked)))


@TABLE.add(
    "GET",
    "/v1/operator/rules",
    readers=(Reader.OPERATOR,),
    summary="Which rules are in force",
    gives=RulesShown,
)
async def read_rules(asked: Asked[None]) -> RulesShown:
    """The version by which this server judges, and why an edit of the files is not taken up, if one is not."""
    rules = await asked.platform.rules.get()
    return RulesShown(
        version=rules.version, programmes=sorted(rules.programmes), trouble=asked.platform.rules.trouble
    )


def read_parcel(given: ParcelAsked, field: str) -> ParcelDescription:
    """The parcel that is described in this field. Raises ProblemError naming what can't be read."""
    value = _read(f"{field}.value", given.value, read_money)
    return ParcelDescription(
        weight_g=_read(f"{field}.weight", given.weight, read_weight_g),
        sides_mm=_read(f"{field}.dimensions", given.dimensions, read_box_mm),
        value_cents=value[0] if value else None,
        currency=value[1] if value else None,
        needs_signature=given.needs_signature,
        is_sold_by_merchant=given.is_sold_by_merchant,
        is_dangerous=given.is_dangerous,
    )


def _read(field: str, text: str | None, read: Callable[[str], Value]) -> Value | None:
    try:
        return None if text is None else read(text)
    except ValueError as error:
        raise bad_input(field, str(error)) from None


def _show(answer: Answer, language: Language) -> EligibilityShown:
    offer, rule = answer.offer, answer.vehicle_rule
    return EligibilityShown(
        verdict=offer.verdict,
        reasons=[ReasonShown(code=reason, text=reason_text(reason, language)) for reason in offer.reasons],
        area=_show_area(offer.area),
        is_by_postcode=answer.is_by_postcode,
        make=rule.make if rule else None,
        service=rule.service if rule else None,
        programme=offer.programme,
        rules_version=offer.rules_version,
    )


def _show_area(area: Area | None) -> AreaShown | None:
    return None if area is None else AreaShown(name=area.name, is_confirmed=area.is_confirmed)
