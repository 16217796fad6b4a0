"""E-mail by SMTP (RFC 5321), as text and as HTML.

Time: a connection for each mail, at most `WITHIN_S` from the greeting to the last answer. TLS is used wherever the
server offers it; a password never leaves without it, except to this machine itself.

A repeat has the same Message-ID: mail servers and readers that look for duplicates know it as the same mail.
Auto-Submitted (RFC 3834) keeps holiday answers away.
"""

from __future__ import annotations

import html
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import quote, unquote, urlsplit

import aiosmtplib

from unlatch.domain.wording import Language
from unlatch.notices.base import Address, Letter, NotDelivered

WITHIN_S = 10.0
# The server says that there is no such mailbox or no such host (RFC 3463, X.1.1, X.1.2, X.1.6, X.1.10).
_GONE = ("5.1.1 ", "5.1.2 ", "5.1.6 ", "5.1.10 ")
_WHY = {
    Language.ENGLISH: "You get this since you follow deliveries in Unlatch. Choose in the app what is sent here.",
    Language.FRENCH: "Vous recevez ceci car vous suivez des livraisons dans Unlatch. Choisissez dans l'application "
    "ce qui est envoyé ici.",
}


class EmailSender:
    """One mail server."""

    def __init__(self, url: str, *, mail_from: str) -> None:
        """`url`: smtp://[user:password@]host[:port] or smtps://..."""
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._is_here = self._host in ("localhost", "127.0.0.1", "::1")
        self._is_tls = parts.scheme == "smtps"
        self._port = parts.port or (465 if self._is_tls else 587)
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._from = mail_from
        self._domain = mail_from.rpartition("@")[2].rstrip(">")
        self._trusted = ssl.create_default_context()

    async def send(self, address: Address, letter: Letter) -> None:
        """One mail. Raises `NotDelivered`."""
        message = self.write(address["to"], letter)
        must_be_tls = self._user is not None and not self._is_tls and not self._is_here
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=self._is_tls,
            start_tls=True if must_be_tls else None,
            tls_context=None if self._is_here else self._trusted,
            validate_certs=not self._is_here,
            timeout=WITHIN_S,
        )
        try:
            async with client:
                await client.send_message(message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            first = error.recipients[0]
            raise _judge(first.code, first.message) from None
        except aiosmtplib.SMTPAuthenticationError:
            raise NotDelivered("the mail server refuses our name and password") from None
        except aiosmtplib.SMTPResponseException as error:
            raise _judge(error.code, error.message) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise NotDelivered(f"the mail server can't be reached ({type(error).__name__})") from None

    async def close(self) -> None:
        """Nothing is held open."""

    def write(self, to: str, letter: Letter) -> EmailMessage:
        """The mail itself."""
        message = EmailMessage()
        message["From"] = self._from
        message["To"] = MailAddress(addr_spec=to)
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{letter.once_id}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Unlatch-Event"] = letter.event  # for who sorts their mail by rules
        message["List-Unsubscribe"] = (
            f"<mailto:{self._bare_from}?subject=unsubscribe%20{quote(letter.channel_id)}>"
        )
        if letter.is_urgent:
            message["Importance"] = "high"
        why = _WHY[letter.language]
        message.set_content(f"{letter.body}\n\n-- \n{why}\n")
        message.add_alternative(
            f'<!doctype html><html lang="{letter.language.value}"><body><h1 style="font-size:1.2em">'
            f"{html.escape(letter.subject)}</h1><p>{html.escape(letter.body)}</p>"
            f'<p style="color:#555"><small>{html.escape(why)}</small></p></body></html>\n',
            subtype="html",
        )
        message["Content-Language"] = letter.language.value  # earlier, it would be moved into the first part
        return message

    @property
    def _bare_from(self) -> str:
        return self._from.rpartition("<")[2].rstrip(">")


def _judge(code: int, message: str) -> NotDelivered:
    """What an answer of the server means for this address."""
    is_gone = 500 <= code < 600 and f"{message} ".startswith(_GONE)
    return NotDelivered(
        f"the mail server answers {code}", may_be_retried=not 500 <= code < 600, is_gone=is_gone
    )
