"""The eligibility checker, open to anyone: would this car, at this address, be offered? And the rules in force."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from unlatch.domain.eligibility import Area, Vehicle, Verdict
from unlatch.domain.wording import Language
from unlatch.flow.eligibility import Answer, Question, check_eligibility
from unlatch.web.api.options import AreaShown, show_offer_reasons
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.parcel_shapes import ParcelAsked, read_parcel
from unlatch.web.problems import ProblemError, ReasonShown, Trouble, bad_input
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import PositionGiven, Word
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("eligibility", "For anyone, without an account; for operators, the rules in force.")
MAX_BYTES = 4096


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


def _show(answer: Answer, language: Language) -> EligibilityShown:
    offer, rule = answer.offer, answer.vehicle_rule
    return EligibilityShown(
        verdict=offer.verdict,
        reasons=show_offer_reasons(offer, language),
        area=_show_area(offer.area),
        is_by_postcode=answer.is_by_postcode,
        make=rule.make if rule else None,
        service=rule.service if rule else None,
        programme=offer.programme,
        rules_version=offer.rules_version,
    )


def _show_area(area: Area | None) -> AreaShown | None:
    return None if area is None else AreaShown(name=area.name, is_confirmed=area.is_confirmed)
