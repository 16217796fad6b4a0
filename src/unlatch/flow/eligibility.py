"""The eligibility checker: would this car, at this address, be offered? Asked by anyone, of no consignee."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from unlatch.devices.base import Car
from unlatch.domain.access import PlaceKind, Position
from unlatch.domain.eligibility import (
    Address,
    Offer,
    ParcelDescription,
    PlaceDescription,
    Vehicle,
    VehicleRule,
    find_offers,
)
from unlatch.errors import BadInput
from unlatch.flow.platform import Platform
from unlatch.flow.postcodes import find_position

ASKED_PLACE = "asked"  # it is no access point of anyone's
LAUNCH = "launch-2018"  # what the checker of 2018 answered by


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked. `account_kind` is one of the connector's, see docs/reference/makers.md; None: not told."""

    country: str
    position: Position | None
    postcode: str | None
    vehicle: Vehicle
    account_kind: str | None
    plans: frozenset[str] | None
    parcel: ParcelDescription | None
    programme: str | None = None  # None: that of 2018, where it is among the rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The offer, and what it was judged by."""

    offer: Offer
    vehicle_rule: VehicleRule | None
    is_by_postcode: bool  # the position is the middle of the postcode's area


async def make_ready(platform: Platform) -> None:
    """Load what the first question would wait for. Raises SettingsError where the rules can't be used."""
    await platform.rules.get()
    await asyncio.to_thread(find_position, "US", "00000")


async def check_eligibility(platform: Platform, question: Question) -> Answer:
    """Raises BadInput for a programme that is not among the rules, or an account kind that its maker does not have."""
    rules = await platform.rules.get()
    name = question.programme or LAUNCH
    if question.programme is not None and name not in rules.programmes:
        raise BadInput("programme", f"must be one of {', '.join(sorted(rules.programmes))}")
    programme = rules.get_programme(name)
    rule = rules.find_vehicle_rule(question.vehicle)
    position, is_by_postcode = question.position, False
    if position is None and question.postcode is not None:
        position, is_by_postcode = find_position(question.country, question.postcode), True
    vehicle = Vehicle(
        make=question.vehicle.make,
        model_year=question.vehicle.model_year,
        vin=question.vehicle.vin,
        has_service=question.vehicle.has_service,
        reads_lock=_find_lock(platform, rule, question.account_kind),
    )
    (offer,) = find_offers(
        rules,
        programme,
        address=Address(country=question.country, position=position),
        plans=question.plans,
        places=[PlaceDescription(id=ASKED_PLACE, kind=PlaceKind.CAR, vehicle=vehicle)],
        parcels=() if question.parcel is None else (question.parcel,),
    )
    return Answer(offer=offer, vehicle_rule=rule, is_by_postcode=is_by_postcode)


def _find_lock(platform: Platform, rule: VehicleRule | None, account_kind: str | None) -> bool | None:
    """Whether cars of this make, with this kind of account, show their lock; None: it depends on the kind."""
    if rule is None or rule.connector is None:
        return None
    maker = platform.makers.maker(rule.connector)
    if account_kind is not None and account_kind not in maker.account_kinds:
        known = (
            f"one of {', '.join(maker.account_kinds)}" if maker.account_kinds else "left out for this make"
        )
        raise BadInput("vehicle.account_kind", f"must be {known}")
    kinds = maker.account_kinds or (None,)
    asked = (account_kind,) if account_kind is not None else kinds
    told = {
        maker.closure(Car(maker=maker.name, vin="", secrets={}, account_kind=kind)).reads_lock
        for kind in asked
    }
    return told.pop() if len(told) == 1 else None
