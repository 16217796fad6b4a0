"""The card that a courier shows to whoever asks."""

from __future__ import annotations

from typing import Annotated

import segno
from msgspec import Meta, Struct

from unlatch.flow.bystander import make_card
from unlatch.web.endpoints import Asked, EndpointTable
from unlatch.web.problems import Trouble
from unlatch.web.shapes import Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("card", "For a courier who is asked in the street who they are.")
INK, PAPER = "#000", "#fff"  # whatever the phone's theme is: a camera reads dark on light


class CardShown(Struct, kw_only=True):
    """A courier's card. It names neither a place nor a consignee."""

    first_name: str
    carrier_name: str
    address: Annotated[str, Meta(description="A public page that says the same, for ten minutes")]
    picture: Annotated[str, Meta(description="The address as a QR code: an SVG as a data: address")]
    good_until: Annotated[Moment, Meta(description="Real time")]


@TABLE.add(
    "GET",
    "/v1/courier/card",
    readers=(Reader.COURIER,),
    summary="A card to show to a bystander",
    gives=CardShown,
    troubles=(Trouble.NOT_FOUND,),
)
async def read_card(asked: Asked[None]) -> CardShown:
    """Who you are and for whom you deliver, with a QR code by which anyone can check it. Good for ten minutes."""
    async with asked.platform.database.connection() as connection:
        card = await make_card(asked.platform, connection, asked.asker.id)
    address = f"{asked.platform.settings.public_url}/who/{card.word}"
    return CardShown(
        first_name=card.name.first_name,
        carrier_name=card.name.carrier_name,
        address=address,
        picture=segno.make_qr(address, error="m").svg_data_uri(scale=4, dark=INK, light=PAPER),
        good_until=card.good_until,
    )
