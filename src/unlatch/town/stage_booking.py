"""Another parcel for the stage, booked over the API as a merchant's back end does it."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from unlatch.errors import UnlatchError
from unlatch.town.desk import CarrierDesk
from unlatch.town.papers import make_sscc

BEGAN_BEFORE, ENDS_AFTER = timedelta(minutes=30), timedelta(hours=3, minutes=30)


async def book_parcel(
    carrier: CarrierDesk, *, consignee_id: str, courier_id: str, place_id: str, now: datetime
) -> str:
    """Announce it, ask which places take it, and put it on the courier's round; its label's number.

    Raises UnlatchError where it is not taken there, or the platform refuses or does not answer.
    """
    number = make_sscc(random.Random())
    shipment = await carrier.announce_shipment(consignee_id, f"order {number[-5:]}", [f"(00){number}"])
    for option in await carrier.options(shipment.id):
        if option.access_point_id == place_id and option.verdict != "offered":
            raise UnlatchError(" ".join(reason.text for reason in option.reasons))
    await carrier.plan_stop(
        courier_id=courier_id,
        access_point_id=place_id,
        shipment_id=shipment.id,
        window=(now - BEGAN_BEFORE, now + ENDS_AFTER),
        fallback="to_door",
    )
    return number
