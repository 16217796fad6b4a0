"""How a phone comes in: a code from its carrier, and a key of its own."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from unlatch.flow import enrolment
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.shapes import Identifier
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("enrolment", "For a phone that has a key of its own and nothing else yet.")


class EnrolmentRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The code that the carrier has given."""

    code: Annotated[
        str,
        Meta(min_length=1, max_length=40, pattern="^[0-9A-Za-z -]+$", examples=["7KQ2M-XW9TB-4HRNE-PA5DZ"]),
    ]


class DeviceEnrolled(Struct, kw_only=True):
    """An enrolled phone."""

    device_id: Identifier
    courier_id: Identifier
    first_name: str
    token: Annotated[str, Meta(description="Shown this once; works with the key that enrolled it alone")]


@TABLE.add(
    "POST",
    "/v1/devices/enrol",
    readers=(Reader.NEWCOMER,),
    summary="Enrol a phone",
    takes=EnrolmentRequest,
    gives=DeviceEnrolled,
    status=201,
    repeat=Repeat.IN_TRANSACTION,
)
async def enrol_device(asked: Asked[EnrolmentRequest]) -> DeviceEnrolled:
    """Trades a carrier's code, once, for a token that is bound to the key of the DPoP proof of this request.
    From then on each request bears the token as `Authorization: DPoP` and a new proof with its hash (`ath`).
    """
    enrolled = await enrolment.enrol_phone(
        asked.connection,
        code=asked.body.code,
        thumbprint=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return DeviceEnrolled(
        device_id=enrolled.device_id,
        courier_id=enrolled.courier_id,
        first_name=enrolled.first_name,
        token=enrolled.token,
    )
