"""The senders of one process, by kind of channel, as the settings allow them."""

from __future__ import annotations

from collections.abc import Mapping

from unlatch.domain.notice import ChannelKind
from unlatch.errors import SettingsError
from unlatch.notices.base import Address, Letter, NotDelivered, Sender
from unlatch.notices.outward import Outward
from unlatch.notices.senders.email import EmailSender
from unlatch.notices.senders.sms import OtherSender, SmsSender
from unlatch.notices.senders.webhook import WebhookSender
from unlatch.notices.senders.webpush import VapidKey, WebPushSender
from unlatch.settings import Settings

# How many letters of each kind one process has on their way at once: one slow kind holds up no other.
AT_ONCE: Mapping[ChannelKind, int] = {
    ChannelKind.EMAIL: 16,
    ChannelKind.WEBPUSH: 32,
    ChannelKind.SMS: 4,
    ChannelKind.OTHER: 4,
    ChannelKind.WEBHOOK: 32,
}
# Why a kind can't be chosen, where its setting is missing.
MISSING: Mapping[ChannelKind, str] = {
    ChannelKind.EMAIL: "this installation sends no e-mail: its operator has not set UNLATCH_SMTP_URL",
    ChannelKind.WEBPUSH: "this installation has no web push: its operator has not set UNLATCH_VAPID_SUBJECT",
    ChannelKind.SMS: "this installation sends no text messages: its operator has not set UNLATCH_SMS_URL",
    ChannelKind.OTHER: "this installation allows no other channels: its operator has not set UNLATCH_OTHER_CHANNELS",
    ChannelKind.WEBHOOK: "this installation sends no webhooks",
}


class Dispatcher:
    """Senders by kind. Without settings there are none, and nothing leaves."""

    def __init__(
        self,
        senders: Mapping[ChannelKind, Sender] | None = None,
        *,
        push_key: str | None = None,
        outward: Outward | None = None,
        allowed: frozenset[str] = frozenset(),
    ) -> None:
        self._senders = dict(senders or {})
        self._outward = outward
        self.push_key = push_key  # what a browser subscribes with
        self.may_be_private = outward is not None and outward.may_be_private
        self.allowed = allowed  # kinds of Apprise

    def find(self, kind: ChannelKind) -> Sender | None:
        """The sender of this kind; None: it is not set up here."""
        return self._senders.get(kind)

    async def send(self, kind: ChannelKind, address: Address, letter: Letter) -> None:
        """Hand one letter over. Raises `NotDelivered`."""
        sender = self.find(kind)
        if sender is None:  # its setting may come back
            raise NotDelivered("this installation is not set up for this kind of channel any more")
        await sender.send(address, letter)

    async def close(self) -> None:
        """Close every connection."""
        for sender in self._senders.values():
            await sender.close()
        if self._outward is not None:
            await self._outward.close()


def make_dispatcher(settings: Settings) -> Dispatcher:
    """All that the settings allow. Used from one event loop. Raises SettingsError."""
    outward = Outward(may_be_private=settings.may_hooks_be_private)
    senders: dict[ChannelKind, Sender] = {ChannelKind.WEBHOOK: WebhookSender(outward)}
    if settings.smtp_url is not None:
        senders[ChannelKind.EMAIL] = EmailSender(settings.smtp_url, mail_from=settings.mail_from)
    if settings.sms_url is not None:
        senders[ChannelKind.SMS] = SmsSender(settings.sms_url)
    if settings.other_channels:
        senders[ChannelKind.OTHER] = OtherSender(settings.other_channels)
    push_key = None
    if (subject := settings.find_vapid_subject()) is not None:
        try:
            key = VapidKey(settings.read_vapid_key())
        except ValueError as error:
            raise SettingsError("UNLATCH_VAPID_KEY: these 32 bytes are no key of the curve P-256") from error
        senders[ChannelKind.WEBPUSH] = WebPushSender(key, subject=subject, outward=outward)
        push_key = key.public
    return Dispatcher(senders, push_key=push_key, outward=outward, allowed=frozenset(settings.other_channels))
