"""A stage for notices: a town with its post office, one household, and rows to tell of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import time
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row
from tests.flow.stage import Stage, Stop, open_stage

from unlatch.domain.notice import ChannelKind, NoticeEvent, NoticeGroup
from unlatch.domain.wording import Language
from unlatch.flow import posting
from unlatch.flow.channels import Made, Wish, add_channel, confirm_channel
from unlatch.flow.notifying import tell
from unlatch.flow.platform import Platform
from unlatch.notices.dispatcher import make_dispatcher
from unlatch.settings import Settings
from unlatch.store.channels import PreferenceRow, set_preference
from unlatch.store.database import Database
from unlatch.town.client import TownClient

GROUPS_ON: Sequence[NoticeGroup] = ()


def post_settings(settings: Settings, smtp_url: str) -> Settings:
    return replace(
        settings,
        smtp_url=smtp_url,
        mail_from="Unlatch <deliveries@unlatch.example>",
        vapid_key=b"v" * 32,
        vapid_subject="mailto:deliveries@unlatch.example",
        may_hooks_be_private=True,
        other_channels=("json",),
    )


@dataclass(kw_only=True)
class Post:
    """What a test of notices plays with. No worker: what is due is done when the test says so."""

    stage: Stage
    platform: Platform

    @property
    def town(self) -> TownClient:
        return self.stage.town

    async def tell(self, stop: Stop, event: NoticeEvent, key: str, **facts: Any) -> None:
        async with self.platform.database.transaction() as connection:
            await tell(
                connection,
                event,
                place_id=stop.place_id,
                key=key,
                now=self.platform.clock.now(),
                stop_id=stop.stop_id,
                facts=facts,
            )

    async def add(
        self,
        stop: Stop,
        kind: ChannelKind,
        *,
        reader: str = "consignee",
        groups_off: Sequence[NoticeGroup] = (),
        **address: str,
    ) -> Made:
        """A channel of the stop's consignee, or of its carrier."""
        number = stop.stop_id.partition("_")[2]
        reader_id = f"con_{number}" if reader == "consignee" else f"car_{number}"
        wish = Wish(
            reader=reader,
            reader_id=reader_id,
            kind=kind,
            address=address,
            groups_off=groups_off,
            language=Language.ENGLISH,
        )
        return await add_channel(self.platform, wish)

    async def add_mail(self, stop: Stop, to: str, groups_off: Sequence[NoticeGroup] = GROUPS_ON) -> str:
        """A mailbox that has been confirmed; the channel's id."""
        made = await self.add(stop, ChannelKind.EMAIL, to=to, groups_off=groups_off)
        box = await self.town.mail(to)
        code = box.letters[-1].subject[-6:]
        await confirm_channel(
            self.platform, made.row.id, reader="consignee", reader_id=made.row.reader_id, code=code
        )
        return made.row.id

    async def add_push(self, stop: Stop, groups_off: Sequence[NoticeGroup] = GROUPS_ON) -> tuple[str, str]:
        """A browser; its channel's and its subscription's id."""
        assert self.platform.dispatcher.push_key is not None
        made = await self.town.subscribe(self.platform.dispatcher.push_key)
        channel = await self.add(
            stop,
            ChannelKind.WEBPUSH,
            groups_off=groups_off,
            endpoint=made.endpoint,
            p256dh=made.keys.p256dh,
            auth=made.keys.auth,
        )
        return channel.row.id, made.id

    async def add_hook(self, stop: Stop, reader: str = "carrier") -> tuple[str, str]:
        """A back end; its channel's and its own id."""
        hook = await self.town.open_hook()
        made = await self.add(stop, ChannelKind.WEBHOOK, reader=reader, url=hook.url)
        assert made.secret is not None
        await self.town.set_hook_secret(hook.id, made.secret)
        return made.row.id, hook.id

    async def be_quiet(self, stop: Stop, begins: str, ends: str, zone: str) -> None:
        row = PreferenceRow(
            quiet_from=time.fromisoformat(begins), quiet_until=time.fromisoformat(ends), time_zone=zone
        )
        async with self.platform.database.connection() as connection:
            await set_preference(connection, f"con_{stop.stop_id.partition('_')[2]}", row)

    async def post(self) -> int:
        return await posting.post(self.platform, posting.POST_AT_ONCE)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """A worker's part that posts and sends, while the block lasts."""
        stop = asyncio.Event()

        async def keep_posting() -> None:
            while not stop.is_set():
                await self.post()
                await asyncio.sleep(0.05)

        tasks = [
            asyncio.create_task(keep_posting()),
            asyncio.create_task(posting.dispatch(self.platform, stop)),
        ]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        async with (
            self.platform.database.connection() as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            await cursor.execute(query.encode(), values)
            return await cursor.fetchall()

    async def states(self) -> list[str]:
        return [
            row["state"]
            for row in await self.rows("SELECT state FROM dispatch ORDER BY created_at, notice_id")
        ]

    async def until_states(self, is_so: Callable[[list[str]], bool], real_s: float = 20) -> list[str]:
        deadline = asyncio.get_running_loop().time() + real_s
        while not is_so(states := await self.states()):
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(await self.rows("SELECT * FROM dispatch"))
            await asyncio.sleep(0.02)
        return states


@asynccontextmanager
async def open_post(database: Database, data_dir: Path, *, factor: float = 1.0) -> AsyncIterator[Post]:
    async with open_stage(database, data_dir, factor=factor, has_worker=False) as stage:
        settings = post_settings(stage.platform.settings, await stage.town.smtp_url())
        dispatcher = make_dispatcher(settings)
        platform = replace(stage.platform, settings=settings, dispatcher=dispatcher)
        stage.platform = platform
        try:
            yield Post(stage=stage, platform=platform)
        finally:
            await dispatcher.close()
