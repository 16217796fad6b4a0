"""What a carrier asks before it books: which places of a consignee take these parcels, and when."""

from __future__ import annotations

from datetime import date, time
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import UNSET, Meta, Struct, field

from unlatch.domain.access import Assurance, PlaceKind
from unlatch.domain.eligibility import Offer, Verdict
from unlatch.domain.eligibility_wording import reason_text
from unlatch.domain.wording import Language
from unlatch.flow.options import Option, Options, find_options, find_options_of_shipment
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.parcel_shapes import ParcelAsked, read_parcel
from unlatch.web.problems import ReasonShown, Trouble, bad_input
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import Identifier, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("options", "For a carrier's back end, before it books: Bearer with the carrier's key.")


class OptionsRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Either a shipment that is announced, or a consignee and parcels that may be."""

    shipment_id: Identifier | None = None
    consignee_id: Identifier | None = None
    parcels: Annotated[list[ParcelAsked], Meta(max_length=50)] = []


class AreaShown(Struct, kw_only=True):
    """The area of the coverage in which the address lies."""

    name: str
    is_confirmed: Annotated[
        bool, Meta(description="Whether a source names it; otherwise it is an assumption")
    ]


class WindowShown(Struct, kw_only=True):
    """A window, by the address's clock and as instants. A day on which the clock leaves its beginning out has none."""

    day: date = field(name="date")
    begins: time = field(name="from")
    ends: time = field(name="until")
    window_from: Annotated[Moment, Meta(description="With the address's own offset")]
    window_until: Moment


class OptionShown(Struct, kw_only=True):
    """One place, and the answer for it."""

    access_point_id: Identifier
    name: Annotated[str, Meta(description="As its household calls it")]
    kind: PlaceKind
    verdict: Annotated[
        Verdict, Meta(description="`depends`: nothing stands against it but what was not told")
    ]
    reasons: list[ReasonShown]
    area: AreaShown | None
    assurance: Annotated[
        Assurance | None,
        Meta(
            description="How well it can show that it is locked: `seen`, by the `lid_alone` (a garage door), by the "
            "`bolt_alone` (no contact sensor), or only `said` by its maker's cloud"
        ),
    ]
    time_zone: str
    windows: Annotated[
        list[WindowShown],
        Meta(description="The next ones, where it is offered; none where a window may begin at any time"),
    ]


class OptionsShown(Struct, kw_only=True):
    """Every place of yours that the consignee owns or shares, oldest first."""

    consignee_id: Identifier
    programme: str
    rules_version: str
    longest_window_s: Annotated[float, Meta(description="By the clock on the wall at the address")]
    options: list[OptionShown]


@TABLE.add(
    "POST",
    "/v1/options",
    readers=(Reader.CARRIER,),
    summary="Ask which places take a parcel",
    takes=OptionsRequest,
    gives=OptionsShown,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
    examples=(
        {
            "consignee_id": "con_019ab2f4c1d27a3b8e4f5061728394a5",
            "parcels": [{"weight": "12.5 lb", "dimensions": "20 x 12 x 8 in", "value": "49.90 USD"}],
        },
    ),
)
async def list_options(asked: Asked[OptionsRequest]) -> OptionsShown:
    """Answers for every place of the consignee by the rules of your programme, with every reason, worded as
    `Accept-Language` asks (en, fr). Several parcels go together: a place is offered if it takes each of them, and a
    reason names the parcels that it is about, counted from 0, unless it is about all. Nothing is kept; booking asks
    again.
    """
    body = asked.body
    if (body.shipment_id is None) == (body.consignee_id is None):
        raise bad_input("shipment_id", "give either shipment_id, or consignee_id with parcels")
    if body.shipment_id is not None and body.parcels:
        raise bad_input("parcels", "leave them out: the shipment has its own")
    now = asked.platform.clock.now()
    async with asked.platform.database.connection() as connection:
        if body.shipment_id is not None:
            found = await find_options_of_shipment(
                asked.platform,
                connection,
                carrier_id=asked.asker.id,
                shipment_id=body.shipment_id,
                now=now,
            )
        else:
            found = await find_options(
                asked.platform,
                connection,
                carrier_id=asked.asker.id,
                consignee_id=body.consignee_id or "",
                parcels=[
                    read_parcel(parcel, f"parcels[{number}]") for number, parcel in enumerate(body.parcels)
                ],
                now=now,
            )
    return _show(found, Language(language_of(asked)))


def show_offer_reasons(offer: Offer, language: Language) -> list[ReasonShown]:
    """Every reason in words, each with the parcels that it is about, if not all."""
    return [
        ReasonShown(
            code=reason,
            text=reason_text(reason, language),
            parcels=[*offer.parcels[reason]] if reason in offer.parcels else UNSET,
        )
        for reason in offer.reasons
    ]


def _show(found: Options, language: Language) -> OptionsShown:
    return OptionsShown(
        consignee_id=found.consignee_id,
        programme=found.programme.name,
        rules_version=found.rules_version,
        longest_window_s=found.programme.window_s,
        options=[_show_option(option, language) for option in found.options],
    )


def _show_option(option: Option, language: Language) -> OptionShown:
    point, area = option.point, option.offer.area
    zone = ZoneInfo(point.time_zone)
    return OptionShown(
        access_point_id=point.id,
        name=point.name,
        kind=PlaceKind(point.kind),
        verdict=option.offer.verdict,
        reasons=show_offer_reasons(option.offer, language),
        area=None if area is None else AreaShown(name=area.name, is_confirmed=area.is_confirmed),
        assurance=option.offer.assurance,
        time_zone=point.time_zone,
        windows=[
            WindowShown(
                day=window.day,
                begins=window.begins,
                ends=window.local_until.time(),
                window_from=span.from_at.astimezone(zone),
                window_until=span.until_at.astimezone(zone),
            )
            for window, span in option.windows
        ],
    )
