"""The town's control API in Python: for the demo, the tests and the bench."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import msgspec

from unlatch.errors import Conflict, NotFound, UnlatchError
from unlatch.town.car import WENT_WELL, Maker, Outcome
from unlatch.town.control import AddedCar, Done, Hand, NewCar, NewClient, NewHabits, Truth
from unlatch.town.faults import Fault, FaultKind
from unlatch.town.home import HomeDeed
from unlatch.town.home_control import AddedHome, HomeDone, HomeTruth, NewHome
from unlatch.town.ledger import LedgerPage, LedgerRow
from unlatch.town.post_office import Box, Hook, PostFault, PostFaultKind, Subscription, Way
from unlatch.town.stage_scene import NewPlace, Scene, Target

Body = TypeVar("Body")
MAX_ANSWER = 16 * 1024 * 1024


class TownClient:
    """One town. Errors: NotFound (no such car), Conflict (the town refuses), UnlatchError (anything else).

    What hands try in vain is not an error: `open_trunk` and the like return the outcome.
    """

    def __init__(self, base_url: str, *, timeout_s: float = 10.0) -> None:
        self.base_url = base_url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.base_url,
            timeout=timeout_s,
            trust_env=False,
            verify=self.base_url.startswith("https:"),  # reading the certificates costs more than a request
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def _ask(
        self, method: str, path: str, kind: type[Body], body: Any = None, *, may_conflict: bool = False
    ) -> Body:
        content = None if body is None else msgspec.json.encode(body)
        try:
            answer = await self._http.request(method, f"/town/{path}", content=content)
        except httpx.HTTPError as error:
            raise UnlatchError(f"the town at {self.base_url} does not answer: {error!r}") from error
        if answer.status_code == 404:
            raise NotFound(f"the town knows nothing at {path}")
        if answer.status_code == 409 and not may_conflict:
            raise Conflict(answer.text[:500])
        if answer.status_code >= 400 and answer.status_code != 409:
            raise UnlatchError(f"the town answers {answer.status_code}: {answer.text[:500]}")
        if len(answer.content) > MAX_ANSWER:
            raise UnlatchError("the town's answer is too long")
        return msgspec.json.decode(answer.content or b"null", type=kind)

    async def set_stage(self, scene: Scene) -> None:
        """What the town's own page plays from now on."""
        await self._ask("POST", "stage", type(None), scene)

    async def admit_place(self, target: Target, access_point_id: str) -> None:
        """Parcels of the town's own page may go there, too."""
        await self._ask(
            "POST", f"stage/places/{target}", type(None), NewPlace(access_point_id=access_point_id)
        )

    # ---- cars -------------------------------------------------------------------------------------------

    async def add_car(self, maker: Maker | str, vin: str, **papers: Any) -> AddedCar:
        """Add a parked, locked car; `papers` are the fields of `control.NewCar`."""
        return await self._ask("POST", "cars", AddedCar, NewCar(maker=Maker(maker), vin=vin, **papers))

    async def add_cars(self, cars: list[NewCar]) -> list[AddedCar]:
        """Add many in one request (some 200 fit)."""
        return await self._ask("POST", "cars/many", list[AddedCar], cars)

    async def list_cars(self, start: int = 0, limit: int = 100) -> list[Truth]:
        return await self._ask("GET", f"cars?start={start}&limit={limit}", list[Truth])

    async def state(self, vin: str) -> Truth:
        """What is physically so."""
        return await self._ask("GET", f"cars/{vin}", Truth)

    async def reset(self) -> None:
        """Empty the town."""
        await self._ask("POST", "reset", type(None))

    async def is_up(self) -> bool:
        """Whether the town answers."""
        try:
            await self._ask("GET", "health", dict[str, Any])
        except UnlatchError:
            return False
        return True

    # ---- the post office ---------------------------------------------------------------------------------

    async def smtp_url(self) -> str:
        """Where the town's mail server listens; empty where it has none."""
        return str((await self._ask("GET", "health", dict[str, Any]))["smtp_url"])

    async def mail(self, to: str) -> Box:
        """What has come to a mailbox."""
        return await self._ask("GET", f"mail?to={quote(to, safe='')}", Box)

    async def wait_for_code(self, to: str, *, timeout_s: float = 20.0) -> str:
        """The newest code that has come to a mailbox, once there is one; TimeoutError (real seconds)."""
        async with asyncio.timeout(timeout_s):
            while True:
                for letter in reversed((await self.mail(to)).letters):
                    if found := re.search(r"\b\d{6}\b", letter.body):
                        return found[0]
                await asyncio.sleep(0.05)

    async def subscribe(self, application_server_key: str) -> Subscription:
        """A browser that wants to be told by whoever has this key."""
        return await self._ask(
            "POST", "push/subscriptions", Subscription, {"application_server_key": application_server_key}
        )

    async def pushed(self, subscription_id: str) -> Box:
        """What that browser has shown."""
        return await self._ask("GET", f"push/{subscription_id}", Box)

    async def open_hook(self, secret: str = "") -> Hook:
        """A back end that takes webhooks; without a secret it believes whatever comes."""
        return await self._ask("POST", "hooks", Hook, {"secret": secret})

    async def set_hook_secret(self, hook_id: str, secret: str) -> None:
        await self._ask("POST", f"hooks/{hook_id}/secret", type(None), {"secret": secret})

    async def hooked(self, hook_id: str) -> Box:
        """What that back end was told."""
        return await self._ask("GET", f"hooks/{hook_id}", Box)

    async def set_post_fault(self, way: Way | str, kind: PostFaultKind | str, **how: Any) -> None:
        """Let mail, pushes or webhooks go wrong; `how` are the further fields of `post_office.PostFault`."""
        fault = PostFault(way=Way(way), kind=PostFaultKind(kind), **how)
        await self._ask("POST", "post/faults", type(None), fault)

    async def clear_post_faults(self) -> None:
        await self._ask("DELETE", "post/faults", type(None))

    # ---- faults -----------------------------------------------------------------------------------------

    async def set_fault(self, vin: str, kind: FaultKind | str, **how: Any) -> Truth:
        """Set a fault on one car; `how` are the further fields of `faults.Fault`."""
        return await self._ask("POST", f"cars/{vin}/faults", Truth, Fault(kind=FaultKind(kind), **how))

    async def clear_faults(self, vin: str, kind: FaultKind | str | None = None) -> Truth:
        """Mend everything, or one kind."""
        path = f"cars/{vin}/faults" if kind is None else f"cars/{vin}/faults/{FaultKind(kind)}"
        return await self._ask("DELETE", path, Truth)

    async def set_cloud_fault(self, maker: Maker | str, kind: FaultKind | str, **how: Any) -> None:
        """Set a fault on a maker's whole cloud."""
        await self._ask(
            "POST", f"clouds/{Maker(maker)}/faults", type(None), Fault(kind=FaultKind(kind), **how)
        )

    async def clear_cloud_faults(self, maker: Maker | str) -> None:
        await self._ask("DELETE", f"clouds/{Maker(maker)}/faults", type(None))

    # ---- accounts at the makers ---------------------------------------------------------------------------

    async def add_oauth_client(
        self, maker: Maker | str, client_id: str, client_secret: str, *redirect_uris: str
    ) -> None:
        """Make an application known to a maker."""
        new = NewClient(client_id=client_id, client_secret=client_secret, redirect_uris=list(redirect_uris))
        await self._ask("POST", f"clouds/{Maker(maker)}/oauth/clients", type(None), new)

    async def set_habits(self, maker: Maker | str, **habits: float) -> None:
        """How a maker's tokens behave; `habits` are the fields of `control.NewHabits`."""
        await self._ask("POST", f"clouds/{Maker(maker)}/oauth", type(None), NewHabits(**habits))

    async def count_oauth(self, maker: Maker | str) -> dict[str, int]:
        """How often a maker's authorization server did what: codes, exchanges, refreshes, reuses ..."""
        return await self._ask("GET", f"clouds/{Maker(maker)}/oauth", dict[str, int])

    async def withdraw(self, maker: Maker | str, account_id: str) -> int:
        """The owner ends every consent of their account; how many there were."""
        path = f"clouds/{Maker(maker)}/oauth/accounts/{account_id}/withdraw"
        return (await self._ask("POST", path, dict[str, int]))["consents"]

    async def approve(self, authorize_url: str, account_id: str, *, decision: str = "approve") -> str:
        """What the owner of this account does in a browser; the address that it is led back to.

        Raises UnlatchError where the maker shows something else than the question, or leads nowhere.
        """
        page = await self._http.get(authorize_url)
        location: str | None = page.headers.get("location")
        if page.status_code == 200:
            fields = dict(parse_qsl(urlsplit(authorize_url).query, keep_blank_values=True))
            fields |= {"account": account_id, "decision": decision}
            said = await self._http.post(authorize_url.partition("?")[0], data=fields)
            location = said.headers.get("location")
        if location is None:
            raise UnlatchError(f"the maker leads nowhere: {page.status_code}")
        return location

    # ---- hands ------------------------------------------------------------------------------------------

    async def by_hand(self, vin: str, hand: Hand) -> Done:
        """Do something to the car by hand."""
        return await self._ask("POST", f"cars/{vin}/{hand}", Done, may_conflict=True)

    async def open_trunk(self, vin: str) -> Outcome:
        """Pull the handle: DONE, or IS_LOCKED."""
        return (await self.by_hand(vin, Hand.OPEN_TRUNK)).outcome

    async def close_trunk(self, vin: str) -> Outcome:
        """Push the lid down: DONE, or WILL_NOT_CLOSE."""
        return (await self.by_hand(vin, Hand.CLOSE_TRUNK)).outcome

    async def can_open_trunk(self, vin: str) -> bool:
        """Try the handle; True when the lid is open now."""
        return await self.open_trunk(vin) in WENT_WELL

    async def lock_with_key(self, vin: str) -> Outcome:
        return (await self.by_hand(vin, Hand.KEY_LOCK)).outcome

    async def unlock_with_key(self, vin: str) -> Outcome:
        return (await self.by_hand(vin, Hand.KEY_UNLOCK)).outcome

    async def drive(self, vin: str) -> Outcome:
        return (await self.by_hand(vin, Hand.DRIVE)).outcome

    async def park(self, vin: str) -> Outcome:
        return (await self.by_hand(vin, Hand.PARK)).outcome

    async def move(self, vin: str, latitude: float, longitude: float) -> Truth:
        """Set the car down elsewhere, parked."""
        return await self._ask(
            "POST", f"cars/{vin}/move", Truth, {"latitude": latitude, "longitude": longitude}
        )

    # ---- homes ------------------------------------------------------------------------------------------

    async def add_home(self, home_id: str, **papers: Any) -> AddedHome:
        """Add a closed, locked home; `papers` are the further fields of `home_control.NewHome`."""
        return await self._ask("POST", "homes", AddedHome, NewHome(home_id=home_id, **papers))

    async def furnish_home(
        self, home_id: str, *, cameras: int = 1, picture: Mapping[str, Any] | None = None, **papers: Any
    ) -> tuple[AddedHome, list[dict[str, Any]]]:
        """A home with cameras that see its door and share its network. `picture`: fields of `NewCamera` for each.

        A camera's id is the home's with a number, and each has another hall before it.
        """
        given = dict(picture or {})
        seed = given.pop("seed", 0)
        home = await self.add_home(home_id, **papers)
        added = [
            await self.add_camera(f"{home_id}-{number}", home_id=home_id, seed=seed + number, **given)
            for number in range(1, cameras + 1)
        ]
        return home, added

    async def home(self, home_id: str) -> HomeTruth:
        """What is physically so."""
        return await self._ask("GET", f"homes/{home_id}", HomeTruth)

    async def set_home_fault(self, home_id: str, kind: FaultKind | str, **how: Any) -> HomeTruth:
        """Set a fault on one home; `how` are the further fields of `faults.Fault`."""
        return await self._ask(
            "POST", f"homes/{home_id}/faults", HomeTruth, Fault(kind=FaultKind(kind), **how)
        )

    async def clear_home_faults(self, home_id: str, kind: FaultKind | str | None = None) -> HomeTruth:
        """Mend everything, or one kind."""
        path = f"homes/{home_id}/faults" if kind is None else f"homes/{home_id}/faults/{FaultKind(kind)}"
        return await self._ask("DELETE", path, HomeTruth)

    async def do_at_home(self, home_id: str, deed: HomeDeed) -> Outcome:
        """Do something there by hand."""
        path = f"homes/{home_id}/{deed.replace('_', '-')}"
        return (await self._ask("POST", path, HomeDone, may_conflict=True)).outcome

    async def restart_hub(self, home_id: str) -> HomeTruth:
        """Its hub starts anew: what it restores from its disk bears a new time."""
        return await self._ask("POST", f"homes/{home_id}/restart-hub", HomeTruth)

    async def report_home(self, home_id: str) -> HomeTruth:
        """The hub's integration tells again what it told before, without asking the lock."""
        return await self._ask("POST", f"homes/{home_id}/report", HomeTruth)

    # ---- cameras: see `camera_control` for the fields ---------------------------------------------------

    async def add_camera(self, camera_id: str, **fields: Any) -> dict[str, Any]:
        """Add a camera; `fields` are those of `NewCamera`. Its address, user and password are in the answer."""
        return await self._ask("POST", "cameras", dict[str, Any], {"camera_id": camera_id, **fields})

    async def camera(self, camera_id: str) -> dict[str, Any]:
        """How it stands."""
        return await self._ask("GET", f"cameras/{camera_id}", dict[str, Any])

    async def show_camera(self, camera_id: str, **view: Any) -> dict[str, Any]:
        """Change what is before it: door_open, is_moving, light."""
        return await self._ask("POST", f"cameras/{camera_id}/view", dict[str, Any], view)

    async def play_lamp(self, camera_id: str, chips: list[bool], chip_s: float) -> dict[str, Any]:
        """Let the lamp before it play a pattern."""
        body = {"chips": chips, "chip_s": chip_s}
        return await self._ask("POST", f"cameras/{camera_id}/lamp", dict[str, Any], body)

    async def break_camera(self, camera_id: str, kind: str, **how: Any) -> dict[str, Any]:
        """Set its fault; `how` are the further fields of `CameraFault`."""
        return await self._ask("POST", f"cameras/{camera_id}/fault", dict[str, Any], {"kind": kind, **how})

    async def mend_camera(self, camera_id: str) -> dict[str, Any]:
        return await self._ask("DELETE", f"cameras/{camera_id}/fault", dict[str, Any])

    # ---- the ledger -------------------------------------------------------------------------------------

    async def ledger(self, since: int = 0, vin: str | None = None, limit: int = 5_000) -> LedgerPage:
        """One page of rows numbered above `since`."""
        only = "" if vin is None else f"&vin={vin}"
        return await self._ask("GET", f"ledger?since={since}&limit={limit}{only}", LedgerPage)

    async def whole_ledger(self, since: int = 0, vin: str | None = None) -> list[LedgerRow]:
        """Every row from `since` on, page by page; raises UnlatchError if rows were dropped in between."""
        rows: list[LedgerRow] = []
        while True:
            page = await self.ledger(since, vin)
            if page.is_torn and rows:
                raise UnlatchError("the ledger dropped rows that were not read yet")
            if page.cursor == since:
                return rows
            rows += page.rows
            since = page.cursor
