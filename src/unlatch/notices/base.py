"""The contract of a sender: one letter to one address, or `NotDelivered`, which says what is known.

Delivery is at least once: an answer may be lost after the other side has taken the letter on, or the worker may die
before it has written that down. So each sender gives the other side an id that is the same for every repeat, by which a
repeat is known as the same thing:

    email     Message-ID, made of notice and channel          webhook   webhook-id, the notice's id
    webpush   Topic (waiting in the push service) and the     sms, other   none: these networks have no such id,
              tag of what the browser shows                             and a repeat may be read twice
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from unlatch.domain.wording import Language
from unlatch.errors import UnlatchError

Address = Mapping[
    str, str
]  # what a channel's sealed row holds: "to", or a subscription's endpoint and keys ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What one channel is to be told. `notice_id` and `channel_id` are the same for every repeat."""

    notice_id: str
    channel_id: str
    event: str
    is_urgent: bool
    language: Language
    subject: str
    body: str
    told_at: datetime
    data: Mapping[str, Any] = field(
        default_factory=dict
    )  # for machines: ids and facts, no plate and no position

    @property
    def once_id(self) -> str:
        """32 characters of base64url's alphabet that are the same for every repeat, and for nothing else."""
        return hashlib.sha256(f"{self.notice_id} {self.channel_id}".encode()).hexdigest()[:32]


class NotDelivered(UnlatchError):
    """The other side did not take the letter on, as far as is known. The message holds no address."""

    def __init__(self, why: str, *, may_be_retried: bool = True, is_gone: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.may_be_retried = may_be_retried and not is_gone
        self.is_gone = is_gone  # the address is no more: nothing is to be sent there again


class Sender(Protocol):
    """One kind of channel."""

    async def send(self, address: Address, letter: Letter) -> None:
        """Hand one letter over. Raises `NotDelivered`."""

    async def close(self) -> None:
        """Give back what is held open."""
