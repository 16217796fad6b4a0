"""A signed POST to a back end, as Standard Webhooks says: webhook-id, webhook-timestamp, webhook-signature (HMAC-SHA256
with a secret of this channel alone). The id is the notice's, so that a repeat is known as one.

Whatever is not 2xx is tried again, but 410 (Gone) ends the channel. Redirects are not followed.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from datetime import UTC, datetime

import msgspec
from standardwebhooks import Webhook

from unlatch.notices.base import Address, Letter, NotDelivered
from unlatch.notices.outward import Outward

SECRET_BYTES = 32


class WebhookSender:
    """Every back end that wants to hear."""

    def __init__(self, outward: Outward) -> None:
        self._outward = outward

    async def send(self, address: Address, letter: Letter) -> None:
        """One POST. Raises `NotDelivered`."""
        content = msgspec.json.encode(
            {
                "type": letter.event,
                "timestamp": letter.told_at,
                "data": {
                    **letter.data,
                    "notice_id": letter.notice_id,
                    "subject": letter.subject,
                    "body": letter.body,
                    "language": letter.language.value,
                },
            }
        )
        now = datetime.now(UTC)  # real time, as the other side's clock tells whether this is fresh
        headers = {
            "content-type": "application/json",
            "webhook-id": letter.notice_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(address["secret"]).sign(letter.notice_id, now, content.decode()),
            "user-agent": "Unlatch",
        }
        answer = await self._outward.post(address["url"], headers=headers, content=content)
        if 200 <= answer.status < 300:
            return
        raise NotDelivered(f"the back end answers {answer.status}", is_gone=answer.status == 410)

    async def close(self) -> None:
        """The connections are the outward's."""


def make_secret() -> str:
    """A new secret for one webhook, as Standard Webhooks writes it."""
    return f"whsec_{b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
