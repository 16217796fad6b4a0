"""A consignee links their car themselves: the maker's page, back to us, the car, and un-linking it all again."""

from __future__ import annotations

from html import escape
from typing import Annotated
from urllib.parse import urlencode

from litestar import Response
from msgspec import Meta, Struct

from unlatch.domain.access import DEFAULT_RANGE_M
from unlatch.domain.linking import (
    BACK_TEXTS,
    CONFIRM_TEXTS,
    PAGE_TEXTS,
    POWER_TEXTS,
    AccountState,
    LinkPage,
    Power,
)
from unlatch.domain.wording import Language
from unlatch.flow import choosing, linking, unlinking
from unlatch.flow.choosing import ChosenCar
from unlatch.store import maker_accounts
from unlatch.store.consignees import AccessPointRow
from unlatch.store.maker_accounts import MakerAccountRow
from unlatch.web.api.carrier_shapes import AccessPoint, show_access_point
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.page import FOCUS_STYLE
from unlatch.web.problems import ProblemError, Trouble
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import Identifier, Moment, Name, PositionGiven, Word
from unlatch.web.signing_in import Reader

TABLE = EndpointTable(
    "linking",
    "For a consignee's app: Bearer with the consignee's key. And for the browser that a maker leads back.",
)
CONSIGNEE = (Reader.CONSIGNEE,)
MOST_CHARACTERS = 2048
PLACES = "/me/places"  # where the consignee's app goes on
STYLE = """
:root { color-scheme: light dark; }
body { font: 17px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1rem; }
a { display: inline-block; padding: 0.75rem 0; }
"""


class PowerShown(Struct, kw_only=True):
    """One thing that the owner is asked to allow."""

    power: Power
    text: str


class MakerShown(Struct, kw_only=True):
    """A maker at whose page owners can link their cars here."""

    name: Annotated[str, Meta(examples=["volvo"])]
    label: Annotated[str, Meta(examples=["Volvo On Call"])]
    asks_for: Annotated[list[PowerShown], Meta(description="What its page will ask the owner to allow")]
    can_be_revoked: Annotated[
        bool, Meta(description="Whether un-linking tells the maker; else the owner withdraws there too")
    ]


class Makers(Struct, kw_only=True):
    """Where cars can be linked."""

    makers: list[MakerShown]


class NewLink(Struct, kw_only=True, forbid_unknown_fields=True):
    """A link to begin."""

    maker: Annotated[Word, Meta(examples=["volvo"])]
    account_id: Annotated[Identifier, Meta(description="To link again: its cars stay as they are")] | None = (
        None
    )


class LinkOpened(Struct, kw_only=True):
    """Where to send the owner's browser."""

    authorize_url: Annotated[str, Meta(description="At the maker. Open it in the owner's browser, and once")]
    expires_at: Moment


class CallbackQuery(Struct, kw_only=True):
    """What a maker's page sends along; what else it sends is passed over."""

    code: Annotated[str, Meta(max_length=MOST_CHARACTERS)] | None = None
    state: Annotated[str, Meta(max_length=MOST_CHARACTERS)] | None = None
    error: Annotated[str, Meta(max_length=MOST_CHARACTERS)] | None = None
    iss: Annotated[str, Meta(max_length=MOST_CHARACTERS, description="RFC 9207")] | None = None
    confirm: (
        Annotated[str, Meta(max_length=8, description="`yes`: the owner has said who they are")] | None
    ) = None


class Account(Struct, kw_only=True):
    """An account of yours at a maker."""

    id: Identifier
    maker: str
    state: AccountState
    allows: Annotated[list[PowerShown], Meta(description="What you agreed to")]
    linked_at: Moment
    lost_at: Moment | None
    unlinked_at: Moment | None
    is_revoked: Annotated[
        bool, Meta(description="With ended: the maker has confirmed it. Otherwise withdraw there too")
    ]


class Accounts(Struct, kw_only=True):
    """Your accounts, newest first."""

    accounts: list[Account]


class CarShown(Struct, kw_only=True):
    """A car of the account, as its maker tells."""

    vin: str
    make: str | None
    model: str | None
    model_year: int | None
    colour: str | None
    has_service: Annotated[bool | None, Meta(description="An active subscription; null: not told")]
    can: Annotated[list[PowerShown] | None, Meta(description="What it can do from afar; null: not told")]


class Cars(Struct, kw_only=True):
    """The cars of an account."""

    cars: list[CarShown]


class NewCarPlace(Struct, kw_only=True, forbid_unknown_fields=True):
    """A car of yours, and the address near which it stands when something is delivered into it."""

    account_id: Identifier
    vin: Annotated[str, Meta(min_length=17, max_length=17, pattern="^[A-HJ-NPR-Z0-9]{17}$")]
    address: PositionGiven
    time_zone: Annotated[str, Meta(min_length=1, max_length=64, examples=["America/Los_Angeles"])]
    name: Annotated[Name, Meta(description="As your household calls it", examples=["Our Volvo at work"])]
    plate: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=16,
            pattern=r"^[^\u0000-\u001f\u007f]*$",
            description="So that the courier finds it; shown to them in the window and near the place alone",
        ),
    ]
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$", max_length=2, examples=["US"])] = "US"
    colour: Annotated[Word | None, Meta(description="Left out: as the maker tells")] = None
    range_m: Annotated[float, Meta(ge=10, le=5000)] = DEFAULT_RANGE_M
    allows_unseen_lock: Annotated[
        bool, Meta(description="Even if its lock can't be read: a weaker assurance, named everywhere")
    ] = False


class LinkAgain(Struct, kw_only=True, forbid_unknown_fields=True):
    """Through which account the same car is reached from now on."""

    account_id: Identifier


class PlaceLinked(Struct, kw_only=True):
    """A place whose car is reached again."""

    access_point_id: Identifier
    account_id: Identifier


def _show_powers(powers: frozenset[Power], language: Language) -> list[PowerShown]:
    return [PowerShown(power=power, text=POWER_TEXTS[language][power]) for power in Power if power in powers]


def _show_account(asked: Asked[None], row: MakerAccountRow, language: Language) -> Account:
    return Account(
        id=row.id,
        maker=row.maker,
        state=AccountState(row.state),
        allows=_show_powers(linking.powers_of(asked.platform, row), language),
        linked_at=row.linked_at,
        lost_at=row.lost_at,
        unlinked_at=row.unlinked_at,
        is_revoked=row.is_revoked,
    )


@TABLE.add("GET", "/v1/makers", readers=(), summary="Makers at which cars can be linked", gives=Makers)
async def list_makers(asked: Asked[None]) -> Makers:
    """Those at which this installation is registered, with what each will ask the owner to allow, worded as
    `Accept-Language` asks (en, fr).
    """
    language = Language(language_of(asked))
    shown = []
    for name, desk in sorted(asked.platform.makers.desks.items()):
        scopes = desk.authorization.scopes
        powers = frozenset(power for given in scopes.values() for power in given)
        shown.append(
            MakerShown(
                name=name,
                label=asked.platform.makers.maker(name).label,
                asks_for=_show_powers(powers, language),
                can_be_revoked=desk.authorization.revoke_path is not None,
            )
        )
    return Makers(makers=shown)


@TABLE.add(
    "POST",
    "/v1/me/accounts",
    readers=CONSIGNEE,
    widens=True,
    summary="Begin to link",
    takes=NewLink,
    gives=LinkOpened,
    status=201,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT, Trouble.TOO_MANY),
    examples=({"maker": "volvo"},),
)
async def begin_link(asked: Asked[NewLink]) -> LinkOpened:
    """Send the owner's browser to `authorize_url` within 10 minutes; the maker leads it back to us. At most 20 an hour.
    With `account_id`, an account that was lost is linked again, and every car that hangs on it with it.
    """
    begun = await linking.begin(
        asked.platform,
        asked.connection,
        consignee_id=asked.asker.id,
        maker=asked.body.maker,
        account_id=asked.body.account_id,
    )
    return LinkOpened(authorize_url=begun.authorize_url, expires_at=begun.expires_at)


@TABLE.add(
    "GET",
    "/v1/links/callback",
    readers=(),
    summary="Come back from a maker's page",
    query=CallbackQuery,
    media_type="text/html",
    troubles=(Trouble.TOO_MANY,),
)
async def finish_link(asked: Asked[None]) -> Response[bytes]:
    """For the owner's browser, which is always shown a page. First it shows whose link this is; with `confirm=yes` the
    account is linked, once. What came of it, the app reads at `/v1/me/accounts`.
    """
    if not asked.platform.turnstile.lets_through():
        raise ProblemError(Trouble.TOO_MANY, "try again in a moment", headers={"Retry-After": "1"})
    query: CallbackQuery = asked.query
    shown = await linking.find_link(asked.platform, query.state) if query.state else None
    if shown is None or query.state is None:
        return _page(asked, LinkPage.STALE)
    words = {"maker": shown.maker, "who": shown.who, "carrier": shown.carrier}
    language = Language(shown.language)
    if query.error is not None or query.code is None:
        await linking.deny(asked.platform, query.state)
        return _page(asked, LinkPage.DENIED, words, language)
    if query.confirm != "yes":
        given = {"code": query.code, "state": query.state, "iss": query.iss, "confirm": "yes"}
        href = f"?{urlencode({name: value for name, value in given.items() if value is not None})}"
        return _page(asked, LinkPage.ASK, words, language, href)
    page = await linking.finish(asked.platform, state=query.state, code=query.code, issuer=query.iss)
    return _page(asked, page, words, language)


def _page(
    asked: Asked[None],
    page: LinkPage,
    words: dict[str, str] | None = None,
    language: Language | None = None,
    href: str | None = None,
) -> Response[bytes]:
    """One page without a script, complete in itself. Always 200: a person reads it, and its `id` is for tests."""
    language = language or Language(language_of(asked))
    title, text = (line.format(**(words or {})) for line in PAGE_TEXTS[language][page])
    where, what = (href, CONFIRM_TEXTS[language]) if href is not None else (PLACES, BACK_TEXTS[language])
    link = f'<p><a rel="nofollow" href="{escape(where)}">{escape(what)}</a></p>'
    html = (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{FOCUS_STYLE}</style></head>"
        f'<body><main id="{page}"><h1>{escape(title)}</h1><p>{escape(text)}</p>{link}</main></body></html>'
    )
    return Response(html.encode(), media_type="text/html")


@TABLE.add("GET", "/v1/me/accounts", readers=CONSIGNEE, summary="My accounts at makers", gives=Accounts)
async def list_accounts(asked: Asked[None]) -> Accounts:
    """`lost`: the maker no longer lets us in, link it again. `ending`: nothing is opened any more, but the maker is yet
    to be told, or something must still be locked. `ended`: its tokens are destroyed.
    """
    async with asked.platform.database.connection() as connection:
        rows = await maker_accounts.list_accounts(connection, asked.asker.id)
    language = Language(language_of(asked))
    return Accounts(accounts=[_show_account(asked, row, language) for row in rows])


@TABLE.add(
    "GET",
    "/v1/me/accounts/{account_id}/cars",
    readers=CONSIGNEE,
    summary="The cars of an account",
    gives=Cars,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT, Trouble.TOO_MANY),
)
async def list_cars(asked: Asked[None]) -> Cars:
    """Asked of the maker now: what each car can do from afar, and whether its service is subscribed to. Ten times, then
    once every ten seconds; making a car a place and reaching it through another account ask the maker too.
    """
    found = await choosing.list_cars(asked.platform, asked.path["account_id"], consignee_id=asked.asker.id)
    language = Language(language_of(asked))
    return Cars(
        cars=[
            CarShown(
                vin=car.vin,
                make=car.make,
                model=car.model,
                model_year=car.model_year,
                colour=car.colour,
                has_service=car.has_service,
                can=None if car.powers is None else _show_powers(car.powers, language),
            )
            for car in found
        ]
    )


@TABLE.add(
    "POST",
    "/v1/me/access_points",
    readers=CONSIGNEE,
    widens=True,
    summary="Make a car a place for parcels",
    takes=NewCarPlace,
    gives=AccessPoint,
    status=201,
    repeat=Repeat.CLAIMED,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT, Trouble.TOO_MANY),
    examples=(
        {
            "account_id": "mak_019ab2f4c1d27a3b8e4f5061728394a5",
            "vin": "YV1RS592XM2000001",
            "address": {"latitude": 47.6205, "longitude": -122.3493},
            "time_zone": "America/Los_Angeles",
            "name": "Our Volvo at work",
            "plate": "BXK7J42",
        },
    ),
)
async def choose_car(asked: Asked[NewCarPlace]) -> AccessPoint:
    """One of the account's cars becomes a place of yours: asking for it is your consent. Its number must fit what the
    maker tells of it, and it must be one that can be opened and locked from afar.
    """
    body = asked.body
    carrier_id = asked.asker.carrier_id
    assert carrier_id is not None  # a consignee always has one
    point, vehicle = await choosing.choose_car(
        asked.platform,
        ChosenCar(
            account_id=body.account_id,
            vin=body.vin,
            address=body.address.position(),
            country=body.country,
            time_zone=body.time_zone,
            name=body.name,
            plate=body.plate,
            colour=body.colour,
            range_m=body.range_m,
            allows_unseen_lock=body.allows_unseen_lock,
        ),
        consignee_id=asked.asker.id,
        carrier_id=carrier_id,
        now=asked.platform.clock.now(),
    )
    return show_access_point(point, vehicle)


@TABLE.add(
    "POST",
    "/v1/me/access_points/{access_point_id}/relink",
    readers=CONSIGNEE,
    widens=True,
    summary="Reach a place's car through another account",
    takes=LinkAgain,
    gives=PlaceLinked,
    repeat=Repeat.CLAIMED,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT, Trouble.TOO_MANY),
)
async def relink_place(asked: Asked[LinkAgain]) -> PlaceLinked:
    """The same car alone, by its VIN. It is consent given again, where un-linking had ended it. For the owner."""
    point: AccessPointRow = await choosing.relink(
        asked.platform,
        asked.path["access_point_id"],
        account_id=asked.body.account_id,
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return PlaceLinked(access_point_id=point.id, account_id=asked.body.account_id)


@TABLE.add(
    "POST",
    "/v1/me/accounts/{account_id}/unlink",
    readers=CONSIGNEE,
    summary="Un-link an account",
    gives=Account,
    is_closing=True,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def unlink_account(asked: Asked[None]) -> Account:
    """From now on nothing is opened through it: the consent for its places ends, their stops to come take their
    fallback, and what is open is locked. Then the maker is told, again and again for seven days if it does not answer,
    and the tokens are destroyed.
    """
    row = await unlinking.unlink(
        asked.connection,
        asked.path["account_id"],
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return _show_account(asked, row, Language(language_of(asked)))
