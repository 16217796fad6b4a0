"""The town's post office: where notices arrive, so that a test or a demo can read what people were told.

A real mail server (SMTP, on a port of its own), a real push service with the browsers behind it, which checks who
writes and decrypts, and back ends that check the signature of each webhook. Each keeps what came as its reader sees it:
a repeat with the same id once (Message-ID, tag, webhook-id), and beside it how often it was handed in.

    POST /town/push/subscriptions {"application_server_key"}  -> {"id", "endpoint", "keys": {"p256dh", "auth"}}
    POST /town/hooks {"secret"}                                -> {"id", "url"}; the secret may follow
    POST /town/hooks/{id}/secret {"secret"}
    GET  /town/mail?to=  /town/push/{id}  /town/hooks/{id}     -> {"received", "letters": [...]}
    POST /town/post/faults {"way", "kind", ...}, DELETE        -> what goes wrong there

Times of what is kept are the town's; signatures and tokens are checked by real time. Bounded everywhere: of each
address the last letters, and the addresses that were heard of last.
"""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import os
import socket
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from enum import StrEnum, auto
from itertools import count
from typing import Annotated, Any, cast
from weakref import WeakKeyDictionary

import http_ece
import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from standardwebhooks import Webhook, WebhookVerificationError

from unlatch.clock import Clock
from unlatch.town.wire import CUT_OFF, Answer, Refused, Request

MAX_BOXES = 20_000
MAX_LETTERS = 200  # of one box
MAX_MAIL_BYTES = 256 * 1024
MAX_PUSH_BYTES = 4096  # RFC 8030 lets a push service refuse more
MAX_FAULTS = 64
TOKEN_LIVES_MAX_S = 24 * 3600


class Way(StrEnum):
    """How something arrives."""

    MAIL = auto()
    PUSH = auto()
    HOOK = auto()


class PostFaultKind(StrEnum):
    REJECT = auto()  # answers `status`
    GONE = auto()  # no such mailbox, subscription or back end any more
    SLOW = auto()  # answers `after_s` real seconds later; it was taken on
    CUT = auto()  # the connection ends before the letter was taken on
    CUT_AFTER = auto()  # it was taken on, and the answer is lost


class PostFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault. `to`: of one mail address, subscription or back end; None: of the whole way."""

    way: Way
    kind: PostFaultKind
    to: Annotated[str, msgspec.Meta(max_length=300)] | None = None
    status: Annotated[int, msgspec.Meta(ge=300, le=599)] | None = None
    after_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 30.0
    times: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None  # None: until cleared


class Arrived(msgspec.Struct, kw_only=True):
    """One letter as its reader sees it."""

    once_id: str  # Message-ID, tag or webhook-id
    times: int  # how often it was handed in
    subject: str
    body: str
    event: str
    at: datetime  # when first
    headers: dict[str, str]  # what the other side said about it
    data: Any = None  # of a webhook or a push: all of it


class Box(msgspec.Struct, kw_only=True):
    """What has come to one address."""

    received: int  # how often something was handed in, repeats and all
    letters: list[Arrived]


class NewSubscription(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A browser that wants to be told by whoever has this key (base64url)."""

    application_server_key: Annotated[str, msgspec.Meta(max_length=120)]


class PushKeys(msgspec.Struct, kw_only=True, frozen=True):
    p256dh: str
    auth: str


class Subscription(msgspec.Struct, kw_only=True, frozen=True):
    """As a browser gives it to its page."""

    id: str
    endpoint: str
    keys: PushKeys


class NewHook(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A back end; without a secret it believes whatever comes."""

    secret: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Hook(msgspec.Struct, kw_only=True, frozen=True):
    id: str
    url: str


@dataclass(slots=True, kw_only=True)
class _Browser:
    """One subscription and the keys that only its browser has."""

    private: ec.EllipticCurvePrivateKey
    auth: bytes
    server_key: str


@dataclass(slots=True, kw_only=True)
class _Shelf:
    """The boxes of one way, those that were heard of last."""

    boxes: OrderedDict[str, Box] = field(default_factory=OrderedDict)

    def find(self, address: str) -> Box:
        return self.boxes.get(address) or Box(received=0, letters=[])

    def put(self, address: str, letter: Arrived) -> None:
        box = self.boxes.setdefault(address, Box(received=0, letters=[]))
        self.boxes.move_to_end(address)
        box.received += 1
        known = next((one for one in box.letters if one.once_id == letter.once_id), None)
        if known is not None:
            known.times += 1
            return
        box.letters.append(letter)
        del box.letters[:-MAX_LETTERS]
        while len(self.boxes) > MAX_BOXES:
            self.boxes.popitem(last=False)


@dataclass(slots=True, kw_only=True)
class _Switched:
    fault: PostFault
    left: int | None


class PostOffice:
    """All three ways. `smtp_url` once its mail server listens."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.smtp_url = ""
        self._numbers = count(1)
        self.reset()

    def reset(self) -> None:
        """Empty every box."""
        self.shelves: dict[Way, _Shelf] = {way: _Shelf() for way in Way}
        self.browsers: dict[str, _Browser] = {}
        self.hooks: dict[str, str] = {}  # id -> secret
        self.faults: list[_Switched] = []

    async def listen_for_mail(self, listening: socket.socket) -> asyncio.Server:
        """Start the mail server on this socket."""
        host, port = listening.getsockname()[:2]
        self.smtp_url = f"smtp://{f'[{host}]' if ':' in host else host}:{port}"
        handler = _MailHandler(self)
        loop = asyncio.get_running_loop()

        def make() -> SMTP:
            return SMTP(handler, data_size_limit=MAX_MAIL_BYTES, hostname="town", ident="town", loop=loop)

        return await loop.create_server(make, sock=listening, backlog=1024)

    # ---- control

    def control(self, request: Request) -> Answer:
        """The endpoints under /town that are the post office's."""
        match (request.method, *request.parts[1:]):
            case ("GET", "mail"):
                return Answer(200, self.shelves[Way.MAIL].find(request.query.get("to", "").lower()))
            case ("POST", "push", "subscriptions"):
                return Answer(201, self._subscribe(request))
            case ("GET", "push", identifier) if identifier in self.browsers:
                return Answer(200, self.shelves[Way.PUSH].find(identifier))
            case ("POST", "hooks"):
                return Answer(201, self._open_hook(request))
            case ("POST", "hooks", identifier, "secret") if identifier in self.hooks:
                self.hooks[identifier] = request.read(NewHook).secret
                return Answer(204)
            case ("GET", "hooks", identifier) if identifier in self.hooks:
                return Answer(200, self.shelves[Way.HOOK].find(identifier))
            case ("POST", "post", "faults"):
                if len(self.faults) >= MAX_FAULTS:
                    raise Refused(Answer(409, {"error": "too many faults"}))
                fault = request.read(PostFault)
                self.faults.append(_Switched(fault=fault, left=fault.times))
                return Answer(204)
            case ("DELETE", "post", "faults"):
                self.faults.clear()
                return Answer(204)
        raise Refused(Answer(404, {"error": "no such resource"}))

    def _subscribe(self, request: Request) -> Subscription:
        if len(self.browsers) >= MAX_BOXES:
            raise Refused(Answer(409, {"error": "too many browsers"}))
        browser = _Browser(
            private=ec.generate_private_key(ec.SECP256R1()),
            auth=os.urandom(16),
            server_key=request.read(NewSubscription).application_server_key,
        )
        identifier = f"sub{next(self._numbers)}"
        self.browsers[identifier] = browser
        public = browser.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return Subscription(
            id=identifier,
            endpoint=f"{request.address}/push/{identifier}",
            keys=PushKeys(p256dh=_encode(public), auth=_encode(browser.auth)),
        )

    def _open_hook(self, request: Request) -> Hook:
        if len(self.hooks) >= MAX_BOXES:
            raise Refused(Answer(409, {"error": "too many back ends"}))
        identifier = f"hook{next(self._numbers)}"
        self.hooks[identifier] = request.read(NewHook).secret
        return Hook(id=identifier, url=f"{request.address}/hooks/{identifier}")

    # ---- what arrives

    async def serve_push(self, request: Request) -> Answer:
        """The push service: POST /push/{id}, as RFC 8030, 8291 and 8292 say."""
        if request.method != "POST" or len(request.parts) != 2:
            return Answer(404)
        browser = self.browsers.get(request.parts[1])
        if browser is None:
            return Answer(410)
        fault = self.draw(Way.PUSH, request.parts[1])
        if (refused := _refusal(fault, gone=410)) is not None:
            return refused
        status = self._judge_push(request, browser)
        if status != 201:
            return Answer(status)
        try:
            plain = http_ece.decrypt(
                request.body, private_key=browser.private, auth_secret=browser.auth, version="aes128gcm"
            )
            shown = msgspec.json.decode(plain, type=dict[str, Any])
        except (http_ece.ECEException, msgspec.DecodeError, ValueError):
            return Answer(400, {"error": "this browser can't read it"})
        headers = {name: request.header(name.encode()) for name in ("ttl", "urgency", "topic")}
        self._keep(Way.PUSH, request.parts[1], str(shown["tag"]), shown, headers, data=shown)
        return await _answer(fault, Answer(201, headers=((b"location", b"/message/1"),)))

    def _judge_push(self, request: Request, browser: _Browser) -> int:
        """The status for what stands around the content; 201 where all is well."""
        if not request.header(b"ttl").isdigit() or request.header(b"content-encoding") != "aes128gcm":
            return 400
        topic = request.header(b"topic")
        if len(topic) > 32 or not topic.replace("-", "").replace("_", "").isalnum():
            return 400
        if len(request.body) > MAX_PUSH_BYTES:
            return 413
        scheme, _, rest = request.header(b"authorization").partition(" ")
        words = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        if scheme.lower() != "vapid" or not words.get("t") or not words.get("k"):
            return 401
        if words["k"] != browser.server_key:
            return 403
        return 201 if _is_signed(words["t"], words["k"], request.address) else 403

    async def serve_hook(self, request: Request) -> Answer:
        """A back end: POST /hooks/{id}, signed as Standard Webhooks says if it has a secret."""
        if request.method != "POST" or len(request.parts) != 2 or request.parts[1] not in self.hooks:
            return Answer(404)
        identifier = request.parts[1]
        fault = self.draw(Way.HOOK, identifier)
        if (refused := _refusal(fault, gone=410)) is not None:
            return refused
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        headers = {name: request.header(name.encode()) for name in names}
        secret = self.hooks[identifier]
        if secret:
            try:
                Webhook(secret).verify(request.body, headers, json_parse=False)
            except (WebhookVerificationError, ValueError):
                return Answer(401, {"error": "the signature is not ours"})
        said = request.read(dict[str, Any])
        data = said.get("data")
        shown = {"event": said.get("type", ""), **(data if isinstance(data, dict) else said)}
        shown.setdefault("title", shown.get("subject", ""))
        shown.setdefault("message", shown.get("body", ""))
        shown["body"] = shown["message"]
        once_id = headers["webhook-id"] or str(next(self._numbers))
        self._keep(Way.HOOK, identifier, once_id, shown, headers, data=said)
        return await _answer(fault, Answer(204))

    def _keep(
        self,
        way: Way,
        address: str,
        once_id: str,
        shown: dict[str, Any],
        headers: dict[str, str],
        data: Any = None,
    ) -> None:
        letter = Arrived(
            once_id=once_id,
            times=1,
            subject=str(shown.get("title", "")),
            body=str(shown.get("body", "")),
            event=str(shown.get("event", "")),
            at=self.clock.now(),
            headers=headers,
            data=data,
        )
        self.shelves[way].put(address, letter)

    def keep_mail(self, to: str, content: bytes) -> None:
        """One mail for one mailbox, parsed as its reader's program does."""
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        plain = message.get_body(("plain",))
        shown = {
            "title": str(message["Subject"] or ""),
            "event": str(message["X-Unlatch-Event"] or ""),
            "body": plain.get_content().replace("\r", "").partition("\n\n-- \n")[0].strip()
            if plain is not None
            else "",
        }
        headers = {name.lower(): str(value).strip() for name, value in message.items()}
        self._keep(Way.MAIL, to.lower(), str(message["Message-ID"] or next(self._numbers)), shown, headers)

    def draw(self, way: Way, to: str) -> PostFault | None:
        """The fault that strikes what now arrives for this address."""
        for switched in self.faults:
            fault = switched.fault
            if fault.way is not way or (fault.to is not None and fault.to.lower() != to.lower()):
                continue
            if switched.left is not None:
                switched.left -= 1
                if switched.left <= 0:
                    self.faults.remove(switched)
            return fault
        return None


class _MailHandler:
    """What aiosmtpd asks at each step of a mail."""

    def __init__(self, office: PostOffice) -> None:
        self.office = office
        self._later: WeakKeyDictionary[Session, PostFault] = WeakKeyDictionary()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's own name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        fault = self.office.draw(Way.MAIL, address)
        if fault is not None:
            match fault.kind:
                case PostFaultKind.GONE:
                    return "550 5.1.1 no such mailbox"
                case PostFaultKind.REJECT:
                    status = fault.status or 451
                    return f"{status} {status // 100}.7.1 not now"
                case PostFaultKind.CUT:
                    _cut(server)
                    return "421 4.3.0 cut"
                case _:
                    self._later[session] = fault
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content or b""
        for to in envelope.rcpt_tos:
            self.office.keep_mail(to, content.encode() if isinstance(content, str) else content)
        fault = self._later.pop(session, None)
        if fault is not None:
            if fault.kind is PostFaultKind.CUT_AFTER:
                _cut(server)
            else:
                await asyncio.sleep(fault.after_s)
        return "250 OK"


def _cut(server: SMTP) -> None:
    transport = server.transport
    assert transport is not None
    cast("asyncio.Transport", transport).abort()  # uvloop's does not derive from asyncio's


def _refusal(fault: PostFault | None, *, gone: int) -> Answer | None:
    """The answer of a fault that keeps the letter out; None: it comes in."""
    if fault is None:
        return None
    return {
        PostFaultKind.GONE: Answer(gone),
        PostFaultKind.REJECT: Answer(fault.status or 503),
        PostFaultKind.CUT: CUT_OFF,
    }.get(fault.kind)


async def _answer(fault: PostFault | None, answer: Answer) -> Answer:
    """The answer to a letter that was taken on, as a fault lets it through."""
    if fault is not None and fault.kind is PostFaultKind.SLOW:
        await asyncio.sleep(fault.after_s)
    return CUT_OFF if fault is not None and fault.kind is PostFaultKind.CUT_AFTER else answer


def _is_signed(token: str, public: str, origin: str) -> bool:
    """Whether the token was made by that key, for us, and is in force (RFC 8292)."""
    try:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _decode(public))
        claims = jwt.decode(token, ECKey.import_key(point), algorithms=["ES256"]).claims
    except (JoseError, ValueError):
        return False
    now_s, expires_s, subject = time.time(), claims.get("exp"), str(claims.get("sub", ""))
    is_in_force = isinstance(expires_s, int) and now_s < expires_s <= now_s + TOKEN_LIVES_MAX_S
    return claims.get("aud") == origin and is_in_force and subject.startswith(("mailto:", "https://"))


def _encode(given: bytes) -> str:
    return base64.urlsafe_b64encode(given).rstrip(b"=").decode()


def _decode(given: str) -> bytes:
    return base64.urlsafe_b64decode(given + "=" * (-len(given) % 4))
