"""Erasure of a person as a whole: what would happen, the word, and the receipt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from unlatch.domain.erasure import Held, Step, held_text, kept_texts, step_text
from unlatch.domain.wording import Language
from unlatch.flow import erasing
from unlatch.store.erasures import HeldRow
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import ProblemError, Trouble
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import Identifier, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("erasure", "A consignee is erased as a whole, by their own word.")
CONSIGNEE = (Reader.CONSIGNEE,)
EXAMPLE = "erd_4f1c7a0b9d2e6835c1f04a7be8d39260517c2ab94e6f0d83"


class StepShown(Struct, kw_only=True):
    """One step of it."""

    step: Step
    text: Annotated[str, Meta(description="What it erases, in your language")]
    count: Annotated[int | None, Meta(description="How many rows so far; null: not begun")] = None
    at: Annotated[Moment | None, Meta(description="When it has last erased something")] = None


class HeldShown(Struct, kw_only=True):
    """What is kept for now, and why."""

    why: Held
    text: str
    id: Annotated[str, Meta(description="Of the visit, stop, claim or account")]
    until: Annotated[Moment | None, Meta(description="null: until its reason ends")]


class PlaceShown(Struct, kw_only=True):
    """What becomes of a place that you own or share."""

    access_point_id: Identifier
    name: str
    becomes: Annotated[str, Meta(description="handed_over, closed, or left: it is another's, who keeps it")]
    heir: Annotated[str | None, Meta(description="First name of the member who has agreed to own it")]


class ToComeShown(Struct, kw_only=True):
    """A delivery to a place that closes: redirect it, or it goes to its fallback."""

    stop_id: Identifier
    place: str
    window_from: Moment
    window_until: Moment
    fallback: str


class ErasurePlan(Struct, kw_only=True):
    """What would happen, were it asked for now."""

    erased: list[StepShown]
    held: list[HeldShown]
    kept: Annotated[list[str], Meta(description="What stays for good, and names nobody")]
    places: list[PlaceShown]
    to_come: list[ToComeShown]
    needs_confirmation: Annotated[bool, Meta(description="Deliveries are to come")]


class ErasureBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Your word, and what its receipt is to be called."""

    receipt: Annotated[
        str,
        Meta(
            pattern=r"^erd_[0-9a-f]{48}$",
            max_length=len(EXAMPLE),
            description="`erd_` and 24 random bytes in hexadecimal, which you keep before you ask: whoever loses the "
            "answer finds the receipt by it, and where there is none, nothing was erased",
            examples=[EXAMPLE],
        ),
    ]
    sends_deliveries_away: Annotated[
        bool, Meta(description="Deliveries to come may go to their fallbacks; needed where there are some")
    ] = False


class ErasureAsked(Struct, kw_only=True):
    """It is under way, and your key is good no more."""

    receipt: Annotated[str, Meta(description="As you called it: opens the receipt, for whoever has it")]
    receipt_url: str


class ErasureReceipt(Struct, kw_only=True):
    """What was erased when, and what is held until when."""

    asked_at: Moment
    ended_at: Annotated[Moment | None, Meta(description="null: something is held yet, or to be done")]
    link_until: Annotated[Moment | None, Meta(description="This link; null: for 30 days after its end")]
    erased: list[StepShown]
    held: list[HeldShown]
    kept: list[str]


def receipt_path(token: str) -> str:
    """The page of a receipt."""
    return f"/erased/{token}"


def _show_held(rows: Sequence[HeldRow], language: Language) -> list[HeldShown]:
    return [
        HeldShown(why=row.why, text=held_text(row.why, language), id=row.id, until=row.until) for row in rows
    ]


def _words(asked: Asked[Any]) -> Language:
    return Language(language_of(asked))


@TABLE.add(
    "GET",
    "/v1/me/erasure",
    readers=CONSIGNEE,
    summary="See what would happen if you were erased",
    gives=ErasurePlan,
)
async def read_erasure_plan(asked: Asked[None]) -> ErasurePlan:
    """What is erased, what is held and why, what becomes of your places, and which deliveries are to come. Changes
    nothing.
    """
    language, now = _words(asked), asked.platform.clock.now()
    async with asked.platform.database.connection() as connection:
        plan = await erasing.read_plan(connection, asked.asker.id, now)
    return ErasurePlan(
        erased=[StepShown(step=step, text=step_text(step, language)) for step in Step],
        held=_show_held(plan.held, language),
        kept=kept_texts(language),
        places=[
            PlaceShown(access_point_id=one.row.id, name=one.row.name, heir=one.heir, becomes=one.becomes)
            for one in plan.places
        ],
        to_come=[
            ToComeShown(
                stop_id=one.stop_id,
                place=one.place,
                window_from=one.window_from,
                window_until=one.window_until,
                fallback=one.fallback,
            )
            for one in plan.to_come
        ],
        needs_confirmation=bool(plan.to_come),
    )


@TABLE.add(
    "POST",
    "/v1/me/erasure",
    readers=CONSIGNEE,
    widens=True,
    summary="Be erased",
    takes=ErasureBody,
    gives=ErasureAsked,
    status=202,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.CONFLICT,),
    examples=({"receipt": EXAMPLE, "sends_deliveries_away": True},),
)
async def erase_me(asked: Asked[ErasureBody]) -> ErasureAsked:
    """It can't be undone. From this answer on no key, passkey or browser of yours opens anything; the rest is erased
    within moments, and what is held when its reason ends. A browser shows once more who it is. Conflict while
    deliveries are to come and you have not confirmed that they go to their fallbacks. Where the answer is lost, the
    same key can't ask again: read the receipt by the name that you gave it.
    """
    token = asked.body.receipt
    await erasing.ask(
        asked.connection,
        asked.asker.id,
        receipt=token,
        sends_deliveries_away=asked.body.sends_deliveries_away,
        now=asked.platform.clock.now(),
    )
    return ErasureAsked(
        receipt=token, receipt_url=f"{asked.platform.settings.public_url}{receipt_path(token)}"
    )


@TABLE.add(
    "GET",
    "/v1/erasures/{receipt}",
    readers=(),
    summary="Read the receipt of an erasure",
    gives=ErasureReceipt,
    troubles=(Trouble.NOT_FOUND, Trouble.TOO_MANY),
)
async def read_receipt(asked: Asked[None]) -> ErasureReceipt:
    """For whoever has the name that it was asked for with: until it is over, and for 30 days then. It names
    nobody.
    """
    if not asked.platform.turnstile.lets_through():
        raise ProblemError(Trouble.TOO_MANY, "ask again in a moment", headers={"Retry-After": "1"})
    language, now = _words(asked), asked.platform.clock.now()
    async with asked.platform.database.connection() as connection:
        receipt = await erasing.read_receipt(connection, asked.path["receipt"], now)
    return ErasureReceipt(
        asked_at=receipt.row.asked_at,
        ended_at=receipt.row.ended_at,
        link_until=receipt.row.link_until_real,
        erased=[
            StepShown(
                step=step,
                text=step_text(step, language),
                count=None if (row := receipt.steps.get(step)) is None else row.count,
                at=None if row is None else row.at,
            )
            for step in Step
        ],
        held=_show_held(receipt.held, language),
        kept=kept_texts(language),
    )
