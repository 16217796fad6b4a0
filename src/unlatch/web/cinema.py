"""What one process shows of cameras: live pictures, and clips. Files and keys are dealt with in threads of its own.

A disk or a store that hangs holds these threads and nobody else's: the answers of everyone else go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

from litestar import Request, Response
from litestar.response import Stream

from unlatch.errors import ClipDamaged, RecordingError
from unlatch.flow.platform import Platform
from unlatch.flow.viewing import STEP_BYTES, OpenClip, Watcher, get_clip, open_clip, read_clip
from unlatch.store.viewing import KeptClip
from unlatch.web.live import LiveHub
from unlatch.web.problems import ProblemError, Trouble
from unlatch.web.ranges import ByteRange, find_range

log = logging.getLogger(__name__)

LIVE_THREADS = 4
CLIP_THREADS = 4
RANGE_BYTES = 2 * STEP_BYTES  # of one answer; a player asks for the rest
MAX_DOWNLOADS = 16
MAX_WAITING = 100  # ranges
PARTS_NAMED = 20


class Cinema:
    """Live pictures and clips of one process."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._files = ThreadPoolExecutor(LIVE_THREADS, "live")
        self._clips = ThreadPoolExecutor(CLIP_THREADS, "clips")
        self._downloads = self._ranges = 0
        self.live = LiveHub(platform, self._files)

    async def close(self) -> None:
        """End everything that is being shown."""
        await self.live.close()
        for executor in (self._files, self._clips):
            executor.shutdown(wait=False, cancel_futures=True)

    # ---- clips ----------------------------------------------------------------------------------------------

    async def head_clip(self, watcher: Watcher, clip_id: str) -> Response[Any]:
        """What a clip is, without a look at it. Raises NotFound."""
        async with self._platform.database.connection() as connection:
            clip = await get_clip(connection, watcher.visit.id, clip_id)
        return Response(
            b"",
            media_type="video/mp4",
            headers={**_headers(clip, is_download=False), "content-length": str(clip.size)},
        )

    async def give_clip(
        self, watcher: Watcher, clip_id: str, request: Request[Any, Any, Any], *, is_download: bool
    ) -> Response[Any]:
        """A clip, or the range that is asked for. Raises NotFound, ProblemError."""
        opened = await open_clip(self._platform, watcher, clip_id)
        clip = opened.clip
        headers = _headers(clip, is_download=is_download)
        if request.headers.get("if-none-match", "") == headers["etag"]:
            return Response(b"", status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        wanted = None
        if request.headers.get("if-range", headers["etag"]) == headers["etag"]:
            wanted = find_range(request.headers.get("range"), clip.size, at_most=RANGE_BYTES)
        if wanted is None:
            return await self._give_whole(opened, headers)
        return Response(
            await self._read_range(opened, wanted),
            status_code=HTTPStatus.PARTIAL_CONTENT,
            media_type="video/mp4",
            headers={**headers, "content-range": wanted.header(clip.size)},
        )

    async def _read_range(self, opened: OpenClip, wanted: ByteRange) -> bytes:
        if self._ranges >= MAX_WAITING:
            raise _too_many()
        self._ranges += 1
        try:
            pieces, at = [], wanted.begin
            while at < wanted.end:
                pieces.append(await self._read(opened, at, wanted.end - at))
                at += len(pieces[-1])
            return b"".join(pieces)
        finally:
            self._ranges -= 1

    async def _give_whole(self, opened: OpenClip, headers: dict[str, str]) -> Response[Any]:
        """All of it, piece by piece. The first is read before it is said that all is well."""
        if self._downloads >= MAX_DOWNLOADS:
            raise _too_many()
        first = await self._read(opened, 0, STEP_BYTES)
        return Stream(
            self._stream(opened, first),
            media_type="video/mp4",
            headers={**headers, "content-length": str(opened.clip.size)},
        )

    async def _stream(self, opened: OpenClip, first: bytes) -> AsyncIterator[bytes]:
        """Pieces of a clip. A damaged one ends the answer short of its length: nobody takes that for whole."""
        self._downloads += 1
        try:
            at, piece = 0, first
            while piece:
                yield piece
                at += len(piece)
                if at >= opened.clip.size:
                    return
                piece = await self._read(opened, at, STEP_BYTES)
        finally:
            self._downloads -= 1

    async def _read(self, opened: OpenClip, at: int, size: int) -> bytes:
        """A piece that is there. Raises ProblemError, which names the parts that are damaged."""
        try:
            piece = await read_clip(self._platform, opened, at, size, self._clips)
        except ClipDamaged as damage:
            log.error("clip %s is damaged: parts %s", opened.clip.id, list(damage.parts[:PARTS_NAMED]))  # noqa: TRY400
            raise ProblemError(Trouble.DAMAGED, _name_parts(damage)) from None
        except RecordingError as error:
            log.warning("clip %s can't be read: %s", opened.clip.id, error.code)
            raise ProblemError(
                Trouble.UNAVAILABLE, "the store of clips does not answer", headers={"Retry-After": "5"}
            ) from None
        if not piece:
            raise ProblemError(Trouble.DAMAGED, "the clip is shorter than it was")
        return piece

    # ---- takes ----------------------------------------------------------------------------------------------

    async def read_take(self, path: Path, wanted: ByteRange) -> bytes:
        """A range of a take's file, for a player. Raises ProblemError where it is not there any more."""
        loop = asyncio.get_running_loop()
        try:
            content = await loop.run_in_executor(self._files, _read_file, path, wanted)
        except OSError:
            content = b""
        if len(content) != wanted.end - wanted.begin:
            raise ProblemError(Trouble.NOT_FOUND, "this take is not there any more")
        return content


def _read_file(path: Path, wanted: ByteRange) -> bytes:
    with path.open("rb") as file:
        file.seek(wanted.begin)
        return file.read(wanted.end - wanted.begin)


def _headers(clip: KeptClip, *, is_download: bool) -> dict[str, str]:
    how = "attachment" if is_download else "inline"
    return {
        "accept-ranges": "bytes",
        "etag": f'"{clip.sha256.hex()}"',
        "content-disposition": f'{how}; filename="{clip.id}.mp4"',
        "cache-control": "private, no-store",
    }


def _name_parts(damage: ClipDamaged) -> str:
    """Which parts a person has to doubt, in words."""
    if not damage.parts:
        return "the clip's own head is not what was kept"
    named = ", ".join(str(part) for part in damage.parts[:PARTS_NAMED])
    more = len(damage.parts) - PARTS_NAMED
    return f"not what was recorded: part {named}" + (f" and {more} more" if more > 0 else "")


def _too_many() -> ProblemError:
    return ProblemError(Trouble.TOO_MANY, "too many clips are being read", headers={"Retry-After": "5"})
