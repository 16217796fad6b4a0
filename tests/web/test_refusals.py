"""Refusals on pages: none that can be raised lacks its French, and a reader gets it in their language alone."""

from __future__ import annotations

import html
import re
from datetime import datetime
from typing import Annotated, Any, Literal

import httpx
import msgspec
import pytest
from msgspec import Meta, Struct
from tests.web.conftest import Caller, Tenant
from tests.web.phone import Phone
from tests.web.raised import SOURCES, VALUE, texts_of, texts_raised
from tests.web.test_consignee_pages import Browser, settle
from tests.web.test_pages import sign_in

from unlatch.errors import TooOften
from unlatch.flow.platform import Platform
from unlatch.flow.retention import WHY_HELD
from unlatch.notices.dispatcher import MISSING
from unlatch.web.answering import problem_of_validation
from unlatch.web.api import notices
from unlatch.web.pages.language import LANGUAGES, Speech, read_catalogue, translations
from unlatch.web.pages.page import LANGUAGE_COOKIE
from unlatch.web.pages.refusals import CATALOGUE, FIELDS, PLACEHOLDER, patterns, said
from unlatch.web.problems import TROUBLES
from unlatch.web.proof_of_possession import MAX_AGE_S

FOLDER = SOURCES / "locale" / "fr"
FRENCH, ENGLISH = Speech("fr"), Speech("en")
EXEMPT = {  # no page shows what is raised here: module, or the folder's name and a slash -> who reads it
    "main.py": "who runs the command line",
    "running.py": "who runs the command line",
    "settings.py": "who starts the server",
    "town/": "who plays in the simulated town",
    "cameras/": "who reads the recorder's log: flow and web word it anew",
    "devices/catalogue.py": "who names a maker at the command line",
    "store/database.py": "who starts the server",
    "web/api/carrier.py": "a carrier's program",
    "web/api/options.py": "a carrier's program",
    "web/api/visits.py": "programs that follow a stream of events",
    "web/api/watching.py": "a player of live pictures",
    "web/app.py": "who asks whether the server is ready",
    "web/cinema.py": "a player of recordings",
    "web/parcel_shapes.py": "a carrier's program",
    "web/problems.py": "nobody: it passes on what others raise. Its titles are tried below",
    "web/ranges.py": "a player of recordings",
}
ELSEWHERE = {  # what is run for the words of a refusal -> where these words are, or why no French is wanted
    "MISSING[ChannelKind.WEBPUSH]": "tried below",
    "MISSING[wish.kind]": "tried below",
    "detail": "what signing_in passes on to _not_signed_in: found where that is called",
    "error.remedy": "a BadInput that is named again at its own field: it was found where it is raised",
    "message.replace('`', '')": "what msgspec says of a shape: tried below",
    "remedy.replace('`', '')": "what msgspec says of a shape: tried below",
    "outcome_text(changed.wish, outcome, Words(language))": "both languages: domain/booking_wording.py",
    "outward.find_fault(url, may_be_private=may_be_private)": "read below: notices/outward.py",
    "reason.text": "both languages: domain/wording.py",
    "shown[0].text": "both languages: domain/wording.py",
    "sms.find_fault(url, allowed)": "read below: notices/senders/sms.py",
    "str(error)": "an error of a lower room, found where it is raised: LabelUnreadable, AreaWrong, amounts below",
    "str(refused)": "a fault of a phone's proof, which its program mends; the clock's is tried below",
    "str(error).replace(f'{files.folder}{os.sep}', '')": "a SettingsError of the rules, found where it is raised",
}
BY_CARRIERS = {  # what a carrier's program alone is told, within modules that pages use too
    f"{VALUE} has {VALUE}",  # registering a car with its account
    f"{VALUE} {VALUE}",  # what is wrong with a label: in both languages in domain/label
    f"must be {VALUE}",  # eligibility, with the kind of account, which no page asks for
    "UNLATCH_VAPID_KEY: these 32 bytes are no key of the curve P-256",  # who starts the server
}
AMOUNTS = (
    'write it like "2 h"', 'write it like "1300.00 USD", with two decimals at most',
    "the unit must be one of h, min", "the number must be at most 1000000000",
)  # fmt: skip


def is_exempt(where: str) -> bool:
    return where in EXEMPT or f"{where.partition('/')[0]}/" in EXEMPT


def bare(words: str) -> str:
    """Without the file, line and field that stand in front, which are told as they are."""
    return re.sub(rf"^(?:{VALUE}(?::{VALUE})?: |[\w-]+: )+(?=.)", "", words)


def test_every_refusal_that_a_page_can_show_is_there_in_french() -> None:
    french = translations("fr")
    known = {PLACEHOLDER.sub(VALUE, message) for message, _ in patterns("fr")}
    missing, found = [], 0
    for text in texts_raised():
        if is_exempt(text.where) or text.code in ELSEWHERE or text.words in BY_CARRIERS:
            continue
        found += 1
        # a text of values alone is another error's, put behind a file's name
        choices = {text.words, bare(text.words)}
        is_known = any(
            one in known or french.gettext(one) != one or one.strip(f"{VALUE}: ") == "" for one in choices
        )
        if text.code or not is_known:
            missing.append(text)
    assert missing == []
    assert found > 300


def test_nothing_is_exempt_that_is_not_there() -> None:
    texts = texts_raised()
    places = {text.where for text in texts}
    assert [one for one in EXEMPT if not any(at == one or at.startswith(one) for at in places)] == []
    read = [text for text in texts if not is_exempt(text.where)]
    assert set(ELSEWHERE) - {text.code for text in read} == set()
    assert {text.words for text in read} >= BY_CARRIERS


def test_a_refusal_that_is_new_is_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.web.raised.SOURCES", tmp_path)
    (tmp_path / "new.py").write_text(
        "async def f(n):\n    why = 'a' if n else f'b {n}'\n    raise Conflict(why)\n"
        "def g():\n    raise BadInput('x', h())\ndef h():\n    return 'c'\ndef i(e):\n    raise NotFound(e.x)\n"
    )
    found = [(text.words, text.code) for text in texts_of(tmp_path / "new.py")]
    assert found == [("a", ""), (f"b {VALUE}", ""), ("c", ""), ("", "e.x")]


def test_what_the_walk_can_t_follow_is_there_in_french_too() -> None:
    texts = [
        *MISSING.values(),
        *AMOUNTS,
        WHY_HELD,
        *(title for _, title in TROUBLES.values()),
        *FIELDS.values(),
    ]
    texts += [
        "channels of the kind foo are not allowed here",
        "give one address as Apprise writes it, like kind://token",
        "give an address of at most 2048 ASCII characters",
        "this is no address",
        "give an address that begins with https://",
        "give an address like https://example.org/path, without a name, a password or a fragment",
        "give an address of the public Internet",
        "must be left out for this make",
        "the operator keeps the recording of this visit until 2026-05-31: a court asked",
    ]
    same = {"Latitude", "Longitude"}
    assert [text for text in texts if said(FRENCH, text) == text and text not in same] == []
    assert [text for text in texts if said(ENGLISH, text) != text] == []


def test_no_text_is_said_in_two_ways_and_none_loses_a_value_that_it_needs() -> None:
    others = [path.name for path in FOLDER.iterdir() if path.name != CATALOGUE]
    elsewhere = {str(one.id) for name in others for one in read_catalogue("fr", name)}
    ours = {str(one.id): str(one.string) for one in read_catalogue("fr", CATALOGUE)}
    assert elsewhere & set(ours) == set()
    for message, french in ours.items():
        assert set(PLACEHOLDER.findall(french)) <= set(PLACEHOLDER.findall(message)), message
        values = {name: f"<{name}>" for name in PLACEHOLDER.findall(message)}
        if values:
            assert said(FRENCH, message % values) == french % values, message  # no other pattern takes it


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("at most 100 places", "100 lieux au plus"),
        ("at most 7 places", "7 lieux au plus"),
        ("this home has 9 cameras, and takes no more", "ce domicile a 9 caméras, et n'en prend pas plus"),
        ("form: send text alone", "Le formulaire : envoyez du texte seulement"),
        ("window.until: is over already", "Jusqu'à : est déjà passé"),
        ("later_fallbacks: end with depot: nothing comes after it",
         "later_fallbacks : finissez par le dépôt : rien ne vient après"),
        ("programme: must be one of a, b", "programme : doit être l'un de ceux-ci : a, b"),
        ("camera.secrets.user: at most 256 characters", "camera.secrets.user : 256 caractères au plus"),
        ("address: the code could not be sent there: the mail server answers 550",
         "address : le code n'a pas pu y être envoyé : le serveur de messagerie répond 550"),
        ("this is not for a place's member", "ce n'est pas permis à un membre du lieu"),
        ("fallback: choose another one: tomorrow was tried 3 days in a row",
         "fallback : choisissez-en une autre : demain a été essayé 3 jours de suite"),
        ("vehicles.toml:12: make[2].from_year: must be more than 0",
         "vehicles.toml:12 : make[2].from_year : doit être plus de 0"),
        ("mail: donnez une adresse", "Votre adresse e-mail : donnez une adresse"),
        ("nobody has said this: ever", "nobody has said this: ever"),
        ("", ""),
        ("x" * 5000, "x" * 5000),
    ],
)  # fmt: skip
def test_values_and_fields_are_told_with_it(english: str, french: str) -> None:
    assert said(FRENCH, english) == french
    assert said(ENGLISH, english) == english


class Asked(Struct, forbid_unknown_fields=True, kw_only=True):
    name: Annotated[str, Meta(min_length=2, max_length=5)]
    stars: Annotated[int, Meta(ge=1, le=5)] = 3
    far: Annotated[float, Meta(gt=0, le=90.0)] = 1.0
    kind: Literal["one", "two"] = "one"
    at: datetime | None = None
    is_on: bool = False
    many: Annotated[list[int], Meta(max_length=2)] = []
    code: Annotated[str, Meta(pattern="^[a-z]+$")] = "a"


@pytest.mark.parametrize(
    ("given", "french"),
    [
        ({}, "Comment vous l'appelez : est nécessaire"),
        ({"name": "x"}, "Comment vous l'appelez : donnez au moins 2 caractères"),
        ({"name": "xxxxxx"}, "Comment vous l'appelez : donnez 5 caractères au plus"),
        ({"name": 1}, "Comment vous l'appelez : donnez un texte"),
        ({"name": "xx", "stars": "many"}, "Étoiles : donnez un nombre entier"),
        ({"name": "xx", "stars": 0}, "Étoiles : donnez un nombre d'au moins 1"),
        ({"name": "xx", "stars": 9}, "Étoiles : donnez un nombre de 5 au plus"),
        ({"name": "xx", "far": "x"}, "far : donnez un nombre"),
        ({"name": "xx", "far": 0.0}, "far : donnez un nombre de plus de 0.0"),
        ({"name": "xx", "far": 91.0}, "far : donnez un nombre de 90.0 au plus"),
        ({"name": "xx", "kind": "six"}, "Sorte : 'six' n'est pas un des choix"),
        ({"name": "xx", "at": "x"}, "at : donnez un jour et une heure, avec leur fuseau"),
        ({"name": "xx", "at": []}, "at : donnez un jour et une heure, avec leur fuseau"),
        ({"name": "xx", "is_on": "x"}, "is_on : donnez oui ou non"),
        ({"name": "xx", "many": [1, 2, 3]}, "many : donnez 2 éléments au plus"),
        ({"name": "xx", "many": 1}, "many : donnez une liste"),
        ({"name": "xx", "code": "1"}, "code : doit correspondre à '^[a-z]+$'"),
        ({"name": "xx", "more": 1}, "more : n'est pas connu ici : laissez vide"),
    ],
)
def test_what_does_not_fit_a_shape_is_told_in_french(given: dict[str, Any], french: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(given, Asked, strict=False)
    problem = problem_of_validation(error.value)
    assert problem.detail is not None
    assert said(FRENCH, problem.detail) == french
    assert said(ENGLISH, problem.detail) == problem.detail


@pytest.mark.parametrize("language", LANGUAGES)
async def test_pages_refuse_in_the_reader_s_language(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, language: str
) -> None:
    browser = Browser(http, await sign_in(http, tenant.consignee.key), language)
    await settle(platform)
    http.cookies.set(LANGUAGE_COOKIE, language)
    delivery = f"/me/deliveries/{tenant.stop_id}"
    cases: list[tuple[str, dict[str, str], int, dict[str, str]]] = [
        ("/me/notices/quiet", {"begins": "late", "ends": "07:00", "time_zone": "Europe/Paris"}, 400, {
            "en": "begins: Invalid RFC3339 encoded time",
            "fr": "De : donnez une heure, comme 21:00"}),
        ("/me/notices/quiet", {"begins": "21:00", "ends": "07:00", "time_zone": "Nowhere"}, 400, {
            "en": "quiet_hours.time_zone: give an IANA time zone, like America/New_York",
            "fr": "Fuseau horaire : donnez un fuseau horaire de l'IANA, comme Europe/Paris"}),
        ("/me/notices/mail", {"to": "ann@example.org"}, 409, {
            "en": MISSING_MAIL,
            "fr": "cette installation n'envoie pas d'e-mail : son opérateur n'a pas réglé UNLATCH_SMTP_URL"}),
        ("/me/join", {"code": "x" * 24}, 400, {
            "en": "code: this code is not good or no longer: ask the place's owner for a new one",
            "fr": "code : ce code n'est pas valable, ou ne l'est plus : demandez-en un autre au propriétaire du lieu"}),
        (f"{delivery}/claim", {"kind": "nonsense", "words": "It is gone."}, 400, {
            "en": "kind: Invalid enum value 'nonsense'",
            "fr": "Sorte : 'nonsense' n'est pas un des choix"}),
        (f"{delivery}/claim", {"kind": "parcel_damaged", "words": "It is gone."}, 409, {
            "en": "this stop is not over: it may still be delivered",
            "fr": "cet arrêt n'est pas fini : le colis peut encore être livré"}),
        ("/me/deliveries/stp_nothing/keep", {}, 404, {
            "en": "There is no such page, or none that you may see.",
            "fr": "Cette page n'existe pas, ou vous ne pouvez pas la voir."}),
    ]  # fmt: skip
    for path, fields, status, told in cases:
        answer = await browser.send(path, **fields)
        shown = re.search(r'role="alert">(.*?)</p>', answer.text, re.DOTALL)
        assert shown is not None, answer.text
        assert (answer.status_code, html.unescape(shown[1])) == (status, told[language])
    answer = await http.get("/check", params={"make": "Volvo", "model_year": "new"}, headers=browser.headers)
    told_of = {
        "en": "vehicle.model_year: Expected int | null, got str",
        "fr": "Année-modèle : donnez un nombre entier",
    }
    assert told_of[language] in html.unescape(answer.text)
    browser.csrf = "0" * 64
    answer = await browser.send("/me/notices/quiet")
    told_of = {"en": "this form is too old: load the page again",
               "fr": "ce formulaire est trop ancien : rechargez la page"}  # fmt: skip
    assert told_of[language] in answer.text


async def test_who_asked_too_often_is_told_so_on_a_page(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Any) -> None:
        raise TooOften("too many links were begun within the last hour", retry_after_s=600)

    monkeypatch.setattr(notices, "set_preferences", refuse)
    browser = Browser(http, await sign_in(http, tenant.consignee.key), "fr")
    http.cookies.set(LANGUAGE_COOKIE, "fr")
    answer = await browser.send("/me/notices/quiet")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "600")
    assert "trop de liaisons ont été commencées dans la dernière heure" in answer.text


async def test_a_courier_s_app_is_told_in_the_phone_s_language(
    http: httpx.AsyncClient, tenant: Tenant
) -> None:
    """By the table of the pages; programs and the log go on with `detail`."""
    french, english = {"Accept-Language": "fr"}, {"Accept-Language": "en-US"}
    scan = f"/v1/courier/stops/{tenant.stop_id}/scan"
    cases: list[tuple[Caller, str, dict[str, Any], int, str, str]] = [
        (Caller(http=http, phone=Phone()), "/v1/devices/enrol", {"code": "AAAAA-AAAAA-AAAAA-AAAAA"}, 400,
            "code: this code is not good or no longer: ask your carrier for a new one",
            "ce code n'est pas valable, ou ne l'est plus : demandez-en un autre à votre transporteur"),
        (tenant.courier, scan, {}, 400, "label: give either label or photo",
            "donnez une étiquette ou une photo, pas les deux"),
        (tenant.courier, scan, {"label": {"text": "x"}, "position": {"latitude": 91.0, "longitude": 0.0}}, 400,
            "position.latitude: Expected float <= 90.0", "donnez un nombre de 90.0 au plus"),
        (tenant.courier, "/v1/courier/stops/sto_0/heading", {}, 404,
            "there is no such stop", "cet arrêt n'existe pas, ou vous ne pouvez pas le voir"),
        (tenant.carrier, scan, {"label": {"text": "x"}}, 403,
            "this is not for a carrier", "ce n'est pas permis à un transporteur"),
        (Caller(http=http, phone=tenant.courier.phone, token="unk_pho_x"), scan, {}, 401,
            "this is no phone's token", "ce n'est pas le jeton d'un téléphone"),
    ]  # fmt: skip
    for caller, path, body, status, detail, text in cases:
        answer = await caller.post(path, body, **french)
        assert (answer.status_code, answer.json()["detail"], answer.json()["text"]) == (status, detail, text)
        assert "text" not in (await caller.post(path, body, **english)).json()
    title = (await http.get("/v1/courier/nowhere", headers=french)).json()
    assert (title["title"], title["text"]) == (
        "There is no such thing, or none that may be seen", "Cela n'existe pas, ou ne peut pas être vu"
    )  # fmt: skip
    unread = await tenant.courier.post(scan, {"label": {"text": "(00)123"}}, **french)
    assert (unread.json()["reasons"][0]["text"][:8], "text" in unread.json()) == ("Ce n'est", False)
    late = f"iat is more than {MAX_AGE_S:.0f} s ago, or ahead of the server's clock"
    assert "l'horloge de ce téléphone est fausse" in said(FRENCH, late)


async def test_the_api_s_json_stays_english(tenant: Tenant) -> None:
    answer = await tenant.consignee.post(
        "/v1/me/channels", {"kind": "email", "to": "ann@example.org"}, **{"Accept-Language": "fr"}
    )
    assert (answer.status_code, answer.json()["detail"]) == (409, MISSING_MAIL)


MISSING_MAIL = "this installation sends no e-mail: its operator has not set UNLATCH_SMTP_URL"
