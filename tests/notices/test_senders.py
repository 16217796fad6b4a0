"""Each sender against a real other side: mail is parsed, pushes are decrypted, signatures are checked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import httpcore
import pytest
from tests.notices.conftest import letter

from unlatch.domain.wording import Language
from unlatch.notices import outward as outward_module
from unlatch.notices.base import NotDelivered, Sender
from unlatch.notices.outward import Outward, _CheckedNetwork, find_fault, is_public
from unlatch.notices.senders import email as email_module
from unlatch.notices.senders.email import EmailSender
from unlatch.notices.senders.sms import OtherSender, SmsSender
from unlatch.notices.senders.sms import find_fault as find_fault_of_other
from unlatch.notices.senders.webhook import WebhookSender, make_secret
from unlatch.notices.senders.webpush import MAX_CONTENT_BYTES, VapidKey, WebPushSender, encrypt
from unlatch.town.client import TownClient
from unlatch.town.post_office import PostFaultKind, Way

ANN = {"to": "ann@example.org"}


async def refusal(sender: Sender, address: dict[str, str], **changes: object) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        await sender.send(address, letter(**changes))
    assert "example" not in str(caught.value), "an address stays out of what is shown and logged"
    return caught.value


# ---------------------------------------------------------------- mail


@pytest.fixture
async def post(town: TownClient) -> EmailSender:
    return EmailSender(await town.smtp_url(), mail_from="Unlatch <deliveries@unlatch.example>")


async def test_a_mail_arrives_as_its_reader_sees_it(town: TownClient, post: EmailSender) -> None:
    french = letter(
        language=Language.FRENCH, subject="Livré et verrouillé", body="<b>Bo</b> a déposé & fermé."
    )
    await post.send(ANN, french)
    (mail,) = (await town.mail("Ann@example.org")).letters
    assert mail.subject == "Livré et verrouillé"
    assert mail.body == "<b>Bo</b> a déposé & fermé."
    assert mail.headers["from"] == "Unlatch <deliveries@unlatch.example>"
    assert mail.headers["to"] == "ann@example.org"
    assert mail.headers["auto-submitted"] == "auto-generated"
    assert mail.headers["content-language"] == "fr"
    assert mail.headers["list-unsubscribe"].startswith("<mailto:deliveries@unlatch.example?")
    assert mail.headers["content-type"].startswith("multipart/alternative")
    assert mail.once_id == mail.headers["message-id"] == f"<{french.once_id}@unlatch.example>"
    assert "importance" not in mail.headers
    page = post.write("ann@example.org", french).get_body(("html",))
    assert page is not None
    assert "&lt;b&gt;Bo&lt;/b&gt; a déposé &amp; fermé." in page.get_content()


async def test_a_repeat_is_the_same_mail_and_another_channel_or_notice_is_not(
    town: TownClient, post: EmailSender
) -> None:
    for one in (letter(), letter(), letter(channel_id="chn_2"), letter(notice_id="not_2")):
        await post.send(ANN, one)
    box = await town.mail("ann@example.org")
    assert box.received == 4
    assert [one.times for one in box.letters] == [2, 1, 1]


async def test_an_urgent_mail_says_so(town: TownClient, post: EmailSender) -> None:
    await post.send(ANN, letter(is_urgent=True))
    assert (await town.mail("ann@example.org")).letters[0].headers["importance"] == "high"


@pytest.mark.parametrize(
    ("kind", "how", "may_be_retried", "is_gone"),
    [
        (PostFaultKind.GONE, {}, False, True),
        (PostFaultKind.REJECT, {"status": 451}, True, False),
        (PostFaultKind.REJECT, {"status": 554}, False, False),
        (PostFaultKind.CUT, {}, True, False),
        (PostFaultKind.CUT_AFTER, {}, True, False),
        (PostFaultKind.SLOW, {"after_s": 5}, True, False),
    ],
)
async def test_what_a_mail_server_may_do(
    town: TownClient,
    post: EmailSender,
    monkeypatch: pytest.MonkeyPatch,
    kind: PostFaultKind,
    how: dict[str, object],
    may_be_retried: bool,
    is_gone: bool,
) -> None:
    monkeypatch.setattr(email_module, "WITHIN_S", 1.5)
    await town.set_post_fault(Way.MAIL, kind, times=1, **how)
    refused = await refusal(post, ANN)
    assert (refused.may_be_retried, refused.is_gone) == (may_be_retried, is_gone)
    monkeypatch.setattr(email_module, "WITHIN_S", 10.0)
    await post.send(ANN, letter())
    box = await town.mail("ann@example.org")
    assert len(box.letters) == 1, "a mail whose answer was lost is the same mail when it comes again"
    assert box.received == (2 if kind in (PostFaultKind.CUT_AFTER, PostFaultKind.SLOW) else 1)


async def test_a_mail_server_that_is_not_there(town: TownClient) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        sender = EmailSender(f"smtp://127.0.0.1:{bound.getsockname()[1]}", mail_from="a@b.example")
        assert (await refusal(sender, ANN)).may_be_retried


async def test_no_password_leaves_without_tls() -> None:
    """To another machine; the server of this test would see it, and sees no AUTH."""
    heard: list[bytes] = []
    is_over = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            heard.append(line)
            writer.write(
                b"250-hello\r\n250 AUTH PLAIN LOGIN\r\n" if line.startswith(b"EHLO") else b"250 fine\r\n"
            )
        writer.close()
        await writer.wait_closed()
        is_over.set()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        sender = EmailSender(f"smtp://ann:geheim@127.0.0.2:{port}", mail_from="a@b.example")
        sender._host = "127.0.0.1"  # the name decides, and this one is not taken for ours
        sender._is_here = False
        assert (await refusal(sender, ANN)).may_be_retried
        await is_over.wait()
    assert not any(line.upper().startswith((b"AUTH", b"MAIL", b"RCPT")) for line in heard), heard


def test_no_name_can_add_a_header() -> None:
    sender = EmailSender("smtp://127.0.0.1", mail_from="a@b.example")
    with pytest.raises(ValueError, match=r"linefeed|newline|header"):
        sender.write("ann@example.org", letter(subject="hello\r\nBcc: all@example.org"))


# ---------------------------------------------------------------- web push


@pytest.fixture
def push(vapid: VapidKey, outward: Outward) -> WebPushSender:
    return WebPushSender(vapid, subject="mailto:a@b.example", outward=outward)


async def subscribe(town: TownClient, key: str) -> tuple[str, dict[str, str]]:
    made = await town.subscribe(key)
    return made.id, {"endpoint": made.endpoint, "p256dh": made.keys.p256dh, "auth": made.keys.auth}


async def test_a_push_is_read_by_its_browser_alone(
    town: TownClient, push: WebPushSender, vapid: VapidKey
) -> None:
    one, address = await subscribe(town, vapid.public)
    other, other_address = await subscribe(town, vapid.public)
    await push.send(address, letter(is_urgent=True))
    (shown,) = (await town.pushed(one)).letters
    assert (shown.subject, shown.event, shown.once_id) == ("Delivered and locked", "delivered", "not_1")
    assert shown.body.startswith("Bo has put your parcel in.")
    assert shown.headers == {"ttl": "172800", "urgency": "high", "topic": letter().once_id}
    assert (await town.pushed(other)).received == 0
    crossed = {**address, "endpoint": other_address["endpoint"]}
    assert not (await refusal(push, crossed)).may_be_retried, "encrypted for one, handed to another"


async def test_a_repeated_push_has_the_same_topic_and_tag(
    town: TownClient, push: WebPushSender, vapid: VapidKey
) -> None:
    identifier, address = await subscribe(town, vapid.public)
    for one in (letter(), letter(), letter(notice_id="not_2")):
        await push.send(address, one)
    box = await town.pushed(identifier)
    assert [(one.once_id, one.times) for one in box.letters] == [("not_1", 2), ("not_2", 1)]
    assert box.letters[0].headers["topic"] != box.letters[1].headers["topic"]


@pytest.mark.parametrize(
    ("kind", "how", "may_be_retried", "is_gone"),
    [
        (PostFaultKind.GONE, {}, False, True),
        (PostFaultKind.REJECT, {"status": 404}, False, True),
        (PostFaultKind.REJECT, {"status": 503}, True, False),
        (PostFaultKind.REJECT, {"status": 429}, True, False),
        (PostFaultKind.REJECT, {"status": 400}, False, False),
        (PostFaultKind.REJECT, {"status": 307}, True, False),
        (PostFaultKind.CUT, {}, True, False),
        (PostFaultKind.CUT_AFTER, {}, True, False),
        (PostFaultKind.SLOW, {"after_s": 5}, True, False),
    ],
)
async def test_what_a_push_service_may_do(
    town: TownClient,
    push: WebPushSender,
    vapid: VapidKey,
    monkeypatch: pytest.MonkeyPatch,
    kind: PostFaultKind,
    how: dict[str, object],
    may_be_retried: bool,
    is_gone: bool,
) -> None:
    monkeypatch.setattr(outward_module, "ANSWER_WITHIN_S", 1.5)
    _, address = await subscribe(town, vapid.public)
    await town.set_post_fault(Way.PUSH, kind, **how)
    refused = await refusal(push, address)
    assert (refused.may_be_retried, refused.is_gone) == (may_be_retried, is_gone)


async def test_a_push_of_another_key_is_refused(town: TownClient, outward: Outward, vapid: VapidKey) -> None:
    _, address = await subscribe(town, vapid.public)
    stranger = WebPushSender(VapidKey(b"w" * 32), subject="mailto:a@b.example", outward=outward)
    refused = await refusal(stranger, address)
    assert not refused.may_be_retried
    assert not refused.is_gone


async def test_a_token_is_used_again_and_made_anew_before_it_ends(
    push: WebPushSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = push._token("https://push.example/a")
    assert push._token("https://push.example/b") == first
    assert push._token("https://other.example/b") != first
    now_s = __import__("time").time()
    monkeypatch.setattr("time.time", lambda: now_s + 4 * 3600)
    assert push._token("https://push.example/a") != first


async def test_a_push_tells_nothing_by_its_length_and_never_is_too_long(
    town: TownClient, vapid: VapidKey, push: WebPushSender
) -> None:
    identifier, address = await subscribe(town, vapid.public)
    sizes = {len(encrypt(address, letter(body="x" * length))) for length in (1, 20, 40)}
    assert len(sizes) == 1
    long = letter(body="é" * MAX_CONTENT_BYTES)
    await push.send(address, long)
    assert (await town.pushed(identifier)).letters[0].body.endswith("…")


@pytest.mark.parametrize("broken", [{"p256dh": "AA"}, {"auth": "AA"}, {"p256dh": "!"}, {"p256dh": "B" * 87}])
async def test_keys_that_are_none_end_the_subscription(
    town: TownClient, push: WebPushSender, vapid: VapidKey, broken: dict[str, str]
) -> None:
    _, address = await subscribe(town, vapid.public)
    assert (await refusal(push, {**address, **broken})).is_gone


# ---------------------------------------------------------------- webhooks


async def test_a_webhook_is_signed_and_holds_what_a_back_end_needs(
    town: TownClient, outward: Outward
) -> None:
    secret = make_secret()
    hook = await town.open_hook(secret)
    address = {"url": hook.url, "secret": secret}
    for _ in range(2):
        await WebhookSender(outward).send(address, letter())
    box = await town.hooked(hook.id)
    (told,) = box.letters
    assert (told.once_id, told.times, box.received) == ("not_1", 2, 2)
    assert told.data["type"] == "delivered"
    assert told.data["timestamp"] == "2026-11-26T22:03:07Z"
    assert told.data["data"]["stop_id"] == "stp_1"
    assert told.data["data"]["subject"] == "Delivered and locked"


async def test_a_webhook_of_another_secret_is_refused_and_tried_again(
    town: TownClient, outward: Outward
) -> None:
    hook = await town.open_hook(make_secret())
    refused = await refusal(WebhookSender(outward), {"url": hook.url, "secret": make_secret()})
    assert refused.may_be_retried, "a back end may have been given a new secret a moment ago"
    assert (await town.hooked(hook.id)).received == 0


@pytest.mark.parametrize(
    ("kind", "how", "is_gone"),
    [
        (PostFaultKind.GONE, {}, True),
        (PostFaultKind.REJECT, {"status": 404}, False),
        (PostFaultKind.REJECT, {"status": 302}, False),
        (PostFaultKind.CUT, {}, False),
    ],
)
async def test_what_a_back_end_may_do(
    town: TownClient, outward: Outward, kind: PostFaultKind, how: dict[str, object], is_gone: bool
) -> None:
    hook = await town.open_hook()
    await town.set_post_fault(Way.HOOK, kind, to=hook.id, **how)
    refused = await refusal(WebhookSender(outward), {"url": hook.url, "secret": make_secret()})
    assert (refused.may_be_retried, refused.is_gone) == (not is_gone, is_gone)


# ---------------------------------------------------------------- addresses that others have chosen


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True),
        ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False),
        ("255.255.255.255", False), ("::1", False), ("fe80::1%eth0", False), ("fc00::1", False),
        ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True), ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False), ("ff02::1", False), ("nonsense", False),
        ("64:ff9b:1::a01:203", False), ("::ffff:0:10.1.2.3", False), ("::127.0.0.1", False), ("fec0::1", False),
    ],
)  # fmt: skip
def test_what_is_of_the_public_internet(number: str, expected: bool) -> None:
    assert is_public(number) is expected


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook", "ftp://example.org", "https://", "https://user@example.org", "https://10.0.0.1/x",
        "https://[::1]/x", "https://localhost/x", "https://db.internal/x", "https://example.org/#x", "https://a b.org",
        "https://example.org:0/", "https://example.org:99999/", "https://" + "x" * 3000, "https://exämple.org",
    ],
)  # fmt: skip
def test_addresses_that_are_refused_before_any_name_is_looked_up(url: str) -> None:
    assert find_fault(url, may_be_private=False) is not None


def test_addresses_that_may_be() -> None:
    assert find_fault("https://hooks.example.org/a?b=c", may_be_private=False) is None
    assert find_fault("http://127.0.0.1:8090/hooks/1", may_be_private=True) is None
    assert find_fault("ftp://127.0.0.1", may_be_private=True) is not None


async def test_a_name_that_leads_into_our_network_is_refused_after_it_was_looked_up(
    town: TownClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a name whose answer is harmless first and inside later: what is checked is what is connected to."""
    hook = await town.open_hook()
    port = int(hook.url.rsplit(":", 1)[1].partition("/")[0])

    def resolve(
        numbers: list[str],
    ) -> Iterator[tuple[int, int, int, str, tuple[str, int]]]:
        return iter((socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in numbers)

    loop = asyncio.get_running_loop()
    answers = [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"]]

    async def getaddrinfo(*_: object, **__: object) -> object:
        return list(resolve(answers.pop(0)))

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    network = _CheckedNetwork(may_be_private=False)
    for _ in range(2):
        with pytest.raises(httpcore.UnsupportedProtocol):
            await network.connect_tcp("rebound.example.org", port)
    assert (await town.hooked(hook.id)).received == 0


async def test_a_hook_into_our_network_is_not_called(town: TownClient) -> None:
    outward = Outward(may_be_private=False)
    hook = await town.open_hook()
    refused = await refusal(WebhookSender(outward), {"url": hook.url, "secret": make_secret()})
    assert not refused.may_be_retried
    assert (await town.hooked(hook.id)).received == 0
    await outward.close()


@pytest.mark.parametrize("host", ["a..example.org", f"{'a' * 64}.example.org"])
async def test_a_name_that_no_name_can_be_is_not_our_fault(host: str) -> None:
    outward = Outward(may_be_private=False)
    refused = await refusal(WebhookSender(outward), {"url": f"https://{host}/hook", "secret": make_secret()})
    assert refused.why == "no connection, or it was cut"
    await outward.close()


# ---------------------------------------------------------------- text messages and others


async def test_a_text_message_goes_through_the_gateway_that_is_set(town: TownClient) -> None:
    hook = await town.open_hook()
    gateway = hook.url.replace("http://", "json://") + "?+X-To={to}"
    sender = SmsSender(gateway)
    await sender.send({"to": "+14155550123"}, letter())
    (told,) = (await town.hooked(hook.id)).letters
    assert told.subject == "Delivered and locked"
    assert told.body.startswith("Bo has put your parcel in.")
    refused = await refusal(sender, {"to": "+1/../admin"})
    assert not refused.may_be_retried
    await town.set_post_fault(Way.HOOK, PostFaultKind.REJECT, to=hook.id, status=500)
    assert (await refusal(sender, {"to": "+14155550123"})).may_be_retried
    await sender.close()


async def test_only_kinds_that_the_operator_allows_are_taken(town: TownClient) -> None:
    hook = await town.open_hook()
    url = hook.url.replace("http://", "json://")
    sender = OtherSender(["json"])
    await sender.send({"url": url}, letter())
    assert (await town.hooked(hook.id)).received == 1
    refused = await refusal(OtherSender(["slack"]), {"url": url})
    assert not refused.may_be_retried
    assert (await town.hooked(hook.id)).received == 1
    await sender.close()


@pytest.mark.parametrize(
    "url", ["json//x", "file:///etc/passwd", "JSONS://x", "slack://a, json://b", "", "slack://a b"]
)
def test_addresses_of_apprise_that_are_refused(url: str) -> None:
    assert find_fault_of_other(url, ["slack", "json"]) is not None
