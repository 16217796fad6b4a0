"""Text messages, and whatever else Apprise can reach.

SMS goes through the one gateway that the operator has set (UNLATCH_SMS_URL, an address of Apprise with `{to}` in it):
who wants to be told gives a telephone number and nothing more. *Other* channels are addresses of Apprise that a person
gives. Such an address can reach any host, so the operator says which kinds are allowed (UNLATCH_OTHER_CHANNELS); none
are, if nothing is set.

Apprise waits for its answers in threads, of which there are a few of our own: a gateway that hangs takes none of those
that look up names. It tells no more than yes or no, so that whatever fails is tried again; these networks know no id by
which a repeat could be recognised.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from unlatch.notices.base import Address, Letter, NotDelivered

WITHIN_S = 12.0
AT_ONCE = 4
NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")  # E.164
SCHEME = re.compile(r"([a-z][a-z0-9+.-]{1,30})://", re.IGNORECASE)
_PLACE = "{to}"


class AppriseSender:
    """Sends through Apprise; what `address` it takes is said by its two uses below."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="unlatch apprise")

    def find_url(self, address: Address) -> str:
        """The address as Apprise reads it. Raises `NotDelivered`."""
        raise NotImplementedError

    async def send(self, address: Address, letter: Letter) -> None:
        """One message. Raises `NotDelivered`."""
        url = self.find_url(address)
        try:
            async with asyncio.timeout(WITHIN_S):
                is_sent = await asyncio.get_running_loop().run_in_executor(
                    self._threads, _notify, url, letter.subject, letter.body
                )
        except TimeoutError:
            raise NotDelivered("the gateway does not answer in time") from None
        if is_sent is None:
            raise NotDelivered("the address can't be used", may_be_retried=False)
        if not is_sent:
            raise NotDelivered("the gateway did not take it")

    async def close(self) -> None:
        """What still waits in a thread is left to end by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class SmsSender(AppriseSender):
    """Text messages through the operator's gateway. Address: `to`, a number like +14155550123."""

    def __init__(self, gateway_url: str) -> None:
        super().__init__()
        self._gateway_url = gateway_url

    def find_url(self, address: Address) -> str:
        """The gateway's address with the number in it."""
        if not NUMBER.fullmatch(address["to"]):
            raise NotDelivered("this is no telephone number", may_be_retried=False)
        return self._gateway_url.replace(_PLACE, quote(address["to"], safe="+"))


class OtherSender(AppriseSender):
    """Whatever Apprise reaches, of the kinds that are allowed. Address: `url`."""

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__()
        self.allowed = frozenset(allowed)

    def find_url(self, address: Address) -> str:
        """The address itself. The operator may have taken its kind back since it was given."""
        if (fault := find_fault(address["url"], self.allowed)) is not None:
            raise NotDelivered(fault, may_be_retried=False)
        return address["url"]


def find_fault(url: str, allowed: Collection[str]) -> str | None:
    """What is wrong with an address of Apprise; None: nothing that can be seen without trying."""
    found = SCHEME.match(url)
    if found is None or not url.isprintable() or " " in url or "," in url:
        return "give one address as Apprise writes it, like kind://token"
    if found[1].lower() not in allowed:
        return f"channels of the kind {found[1].lower()} are not allowed here"
    return None


def _notify(url: str, subject: str, body: str) -> bool | None:
    """In a thread. None: Apprise does not know such an address."""
    import apprise  # noqa: PLC0415 - takes 0.3 s, and most processes never need it

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its warnings hold addresses
    sending = apprise.Apprise()
    if not sending.add(url):
        return None
    return bool(sending.notify(title=subject, body=body, body_format=apprise.NotifyFormat.TEXT))
