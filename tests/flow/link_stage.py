"""A stage whose consignees let us into their accounts at the town's makers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from psycopg.rows import dict_row
from tests.flow.stage import Stage, Stop, open_stage

from unlatch.devices.catalogue import Catalogue
from unlatch.domain.linking import LinkPage
from unlatch.flow import choosing, linking, refreshing
from unlatch.flow.platform import Platform
from unlatch.flow.worker import work
from unlatch.settings import OAuthClient
from unlatch.store import maker_accounts, readings
from unlatch.store.database import Database
from unlatch.store.maker_accounts import MakerAccountRow
from unlatch.store.readings import Place

PUBLIC_URL = "http://unlatch.test"
CLIENTS = {
    maker: OAuthClient(client_id="unlatch", client_secret=f"secret-of-{maker}", api_key=f"key-{maker}")
    for maker in ("onstar", "volvo")
}


@dataclass(frozen=True, kw_only=True)
class Linked:
    """A stop whose car is reached through its consignee's account."""

    stop: Stop
    consignee_id: str
    account_id: str
    town_account_id: str


@dataclass(kw_only=True)
class LinkStage:
    """What a test of linking plays with."""

    stage: Stage

    @property
    def platform(self) -> Platform:
        return self.stage.platform

    async def link(self, maker: str = "volvo", **papers: Any) -> Linked:
        """A stop, its owner's account linked, and its car hung on that account."""
        name = f"owner-{len(self.stage.stops) + 1}-{id(self)}"
        stop = await self.stage.add_stop(maker, account_id=name, **papers)
        consignee_id = stop.place_id.replace("acc_", "con_")
        assert await self.say_yes(consignee_id, maker, name) is LinkPage.LINKED
        (account, *_) = await self.accounts(consignee_id)
        await choosing.relink(
            self.platform,
            stop.place_id,
            account_id=account.id,
            consignee_id=consignee_id,
            now=self.platform.clock.now(),
        )
        return Linked(stop=stop, consignee_id=consignee_id, account_id=account.id, town_account_id=name)

    async def say_yes(
        self,
        consignee_id: str,
        maker: str,
        town_account_id: str,
        account_id: str | None = None,
        *,
        without: str | None = None,
    ) -> LinkPage:
        """The whole way through the owner's browser. `without`: a scope that the owner does not agree to."""
        async with self.platform.database.transaction() as connection:
            begun = await linking.begin(
                self.platform, connection, consignee_id=consignee_id, maker=maker, account_id=account_id
            )
        url = begun.authorize_url
        if without is not None:
            assert f"{quote(without)}+" in url
            url = url.replace(f"{quote(without)}+", "")
        back = await self.stage.town.approve(url, town_account_id)
        told = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
        return await linking.finish(self.platform, state=told["state"], code=told["code"], issuer=told["iss"])

    async def accounts(self, consignee_id: str) -> list[MakerAccountRow]:
        async with self.platform.database.connection() as connection:
            return await maker_accounts.list_accounts(connection, consignee_id)

    async def account(self, account_id: str) -> MakerAccountRow:
        async with self.platform.database.connection() as connection:
            row = await maker_accounts.find_account(connection, account_id)
        assert row is not None
        return row

    async def place(self, linked: Linked) -> Place:
        async with self.platform.database.connection() as connection:
            place = await readings.find_place(connection, linked.stop.place_id)
        assert place is not None
        return place

    async def change(self, statement: str, *values: object) -> None:
        async with self.platform.database.connection() as connection:
            await connection.execute(statement.encode(), values)

    async def ask(self, query: str, *values: object) -> list[dict[str, Any]]:
        async with (
            self.platform.database.connection() as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            await cursor.execute(query.encode(), values)
            return await cursor.fetchall()

    async def make_due(self, linked: Linked) -> None:
        """The refresh token is to be used now, and nothing is in the way of trying at once."""
        await self.change(
            "UPDATE maker_account SET keep_alive_at = %s, again_at = NULL WHERE id = %s",
            self.platform.clock.now(),
            linked.account_id,
        )

    async def refresh_now(self, linked: Linked) -> None:
        await self.make_due(linked)
        await refreshing.refresh_due(self.platform)

    async def notices(self, event: str) -> list[dict[str, Any]]:
        return await self.ask("SELECT * FROM notice WHERE event = %s", event)

    async def until_state(self, account_id: str, *states: str, real_s: float = 30) -> MakerAccountRow:
        """Wait for one of these states."""
        async with asyncio.timeout(real_s):
            while (row := await self.account(account_id)).state not in states:
                await asyncio.sleep(0.05)
        return row


@asynccontextmanager
async def open_link_stage(
    database: Database, data_dir: Path, *, factor: float = 30.0, has_worker: bool = False
) -> AsyncIterator[LinkStage]:
    """A stage that is registered at both makers."""
    async with open_stage(database, data_dir, factor=factor, has_worker=False) as stage:
        for maker, client in CLIENTS.items():
            await stage.town.add_oauth_client(
                maker, client.client_id, client.client_secret, f"{PUBLIC_URL}{linking.CALLBACK}"
            )
        await stage.platform.makers.close()
        settings = replace(stage.platform.settings, public_url=PUBLIC_URL, oauth_clients=CLIENTS)
        makers = Catalogue(settings.clock(), dict.fromkeys(CLIENTS, stage.town_url), CLIENTS)
        stage.platform = replace(stage.platform, settings=settings, makers=makers)
        stop = asyncio.Event()
        working = asyncio.create_task(work(stage.platform, stop)) if has_worker else None
        try:
            yield LinkStage(stage=stage)
        finally:
            stop.set()
            if working is not None:
                await working
            await makers.close()
