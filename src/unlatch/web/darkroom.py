"""Where photos are decoded: in threads, a few at a time, so that the answers of everyone else go on."""

from __future__ import annotations

import asyncio

from unlatch.domain.label import Symbol
from unlatch.flow.photos import make_photo
from unlatch.flow.scanning import read_symbols
from unlatch.flow.words import Photo

AT_ONCE = 2  # each may hold a picture of 40 million pixels
WAITING_MAX = 50


class DarkroomFull(Exception):
    """Too many photos wait already."""


class Darkroom:
    """The photos of one process."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def read_symbols(self, photo: bytes) -> list[Symbol]:
        """The barcodes on a photo. Raises LabelUnreadable, DarkroomFull."""
        await self._wait()
        try:
            return await asyncio.to_thread(read_symbols, photo)
        finally:
            self._turn.release()

    async def make_photo(self, photo: bytes) -> Photo:
        """The photo as it is kept. Raises BadInput, DarkroomFull."""
        await self._wait()
        try:
            return await asyncio.to_thread(make_photo, photo)
        finally:
            self._turn.release()

    async def _wait(self) -> None:
        if self._waiting >= WAITING_MAX:
            raise DarkroomFull
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
