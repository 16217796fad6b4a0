"""What one process of Unlatch works with. Built by `main`, handed to everything else; nothing here is global."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from unlatch.cameras.proof import Proof
from unlatch.cameras.storage import ClipStore, open_store
from unlatch.clock import Clock, monotonic_s
from unlatch.devices.base import Car, Maker
from unlatch.devices.catalogue import Catalogue
from unlatch.domain.incident import Incident
from unlatch.domain.linking import NEEDED, Power
from unlatch.flow.rules import Rulebook
from unlatch.flow.turnstile import Turnstile, Turnstiles
from unlatch.notices.dispatcher import Dispatcher
from unlatch.settings import Settings
from unlatch.store.database import Database
from unlatch.store.readings import Place
from unlatch.store.vault import Vault

# What a maker's link says stands in the way of a command, and which incident that is.
_OBSTACLES = {
    "quota": Incident.DEVICE_QUOTA_USED_UP,
    "in_flight": Incident.PLATFORM_PLACE_BUSY,  # another command to this car: over in a moment
}


class Proofs:
    """Proofs of recording that this very process has made, while a gate may rest on them. At most `MOST` are kept."""

    MOST = 256

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, str], Proof] = OrderedDict()

    def keep(self, visit_id: str, camera_id: str, proof: Proof) -> None:
        """One was made."""
        self._made[visit_id, camera_id] = proof
        while len(self._made) > self.MOST:
            self._made.popitem(last=False)

    def find(self, visit_id: str, camera_id: str) -> Proof | None:
        """One that will still be fresh when the gate has been passed."""
        proof = self._made.get((visit_id, camera_id))
        return proof if proof is not None and proof.is_fresh(monotonic_s() + 1.0) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One process's share of the platform."""

    settings: Settings
    clock: Clock
    database: Database
    vault: Vault
    makers: Catalogue
    name: str = field(default="platform")  # of this process, in rows and logs: "worker-1234@host"
    rules: Rulebook = field(default_factory=Rulebook)
    turnstile: Turnstile = field(default_factory=Turnstile)  # before what is asked without an account
    dispatcher: Dispatcher = field(default_factory=Dispatcher)  # by which notices leave
    joining: Turnstiles = field(
        default_factory=lambda: Turnstiles(a_second=1 / 60, at_once=10)
    )  # codes tried
    asking: Turnstiles = field(
        default_factory=lambda: Turnstiles(a_second=1 / 10, at_once=10)
    )  # reads of an account's cars: each is a request to its maker

    clips: ClipStore = field(default_factory=lambda: ClipStore(open_store(None)))
    proofs: Proofs = field(default_factory=Proofs)

    def for_closings(self) -> Platform:
        """The same, with the database connections that openings can't use up (L5)."""
        return replace(self, database=self.database.closings)

    def car_at(self, place: Place) -> tuple[Maker, Car]:
        """The car behind an access point, with what opens its cloud to us. Raises NotFound, SealBroken."""
        secrets = self.vault.open_mapping(place.sealed, place.access_point_id)
        vin = secrets.pop("vin")
        account, maker = place.account, self.makers.maker(place.maker)
        if account is not None and account.sealed is not None and account.is_open:
            secrets |= self.secrets_of(place.maker, self.vault.open_mapping(account.sealed, account.id))
        # A car that hangs on no account, and whose carrier gave nothing but its number: nobody lets us in.
        is_let_in = account.is_open if account else maker.authorization is None or bool(secrets)
        car = Car(
            maker=place.maker,
            vin=vin,
            secrets=secrets,
            account_kind=place.account_kind,
            is_let_in=is_let_in,
            may_be_opened=account is None or self.powers_of(place.maker, account.scopes) >= NEEDED,
        )
        return self.makers.maker_of(car), car

    def powers_of(self, maker: str, scopes: Iterable[str]) -> frozenset[Power]:
        """What an owner who agreed to these scopes of their maker lets us do."""
        authorization = self.makers.maker(maker).authorization
        known = {} if authorization is None else authorization.scopes
        return frozenset(power for scope in scopes for power in known.get(scope, ()))

    def secrets_of(self, maker: str, tokens: Mapping[str, str]) -> dict[str, str]:
        """What goes along with each request for the cars of an account: its access token, never the refresh token."""
        secrets = {"access_token": tokens["access_token"]}
        client = self.settings.oauth_clients.get(maker)
        if client is not None and client.api_key:
            secrets["api_key"] = client.api_key
        return secrets

    def find_obstacle(self, maker: Maker, car: Car) -> Incident | None:
        """Why an unlock should not even be tried now, as far as this process knows."""
        if not car.may_be_opened:
            return Incident.DEVICE_CONSENT_LOST
        obstacle = maker.find_obstacle(car)
        return None if obstacle is None else _OBSTACLES.get(obstacle, Incident.DEVICE_CLOUD_OUTAGE)
