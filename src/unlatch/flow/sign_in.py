"""How people come in by a browser: a passkey, a link by mail, or the key that they were given once.

A session is a random token of which only the hash is kept. It may be used for what its person may do, but some of
that needs a recent proof (*step-up*): before an account is linked, a place unblocked, rights given away. A browser that
is new to a person may widen nothing for a day, unless it came in by a passkey that is older than that, or nobody has
ever been signed in there: so a stolen mailbox opens no door today, and its owner is told of the new browser.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import msgspec
import structlog
from psycopg.errors import UniqueViolation
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, parse_authentication_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from unlatch.domain.notice import ChannelKind
from unlatch.domain.wording import Language
from unlatch.errors import BadInput, Conflict, NotAllowed
from unlatch.flow.channels import digest_of
from unlatch.flow.enrolment import CONSIGNEE_KEY, OPERATOR_KEY
from unlatch.flow.platform import Platform
from unlatch.notices.base import Letter, NotDelivered
from unlatch.store import carriers, sessions
from unlatch.store.ids import hash_key, make_id
from unlatch.store.sessions import PasskeyRow, SessionRow

log = structlog.get_logger(__name__)

SESSION_LASTS = timedelta(days=30)
SETTLES_AFTER = timedelta(hours=24)
PROOF_LASTS = timedelta(minutes=10)
CHALLENGE_LASTS = timedelta(minutes=5)
LINK_LASTS = timedelta(minutes=15)
LINKS_AN_HOUR = 5
MAX_CREDENTIAL_BYTES = 16 * 1024
RP_NAME = "Unlatch"
READERS = {"consignee": CONSIGNEE_KEY, "operator": OPERATOR_KEY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """A new session and its token, which goes into the cookie and nowhere else."""

    session: SessionRow
    token: str


def hash_token(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def needs_step_up(session: SessionRow, real_now: datetime) -> bool:
    """Whether its person must show once more who they are."""
    return real_now - session.proved_at > PROOF_LASTS


def is_settled(session: SessionRow, real_now: datetime) -> bool:
    """Whether this browser may widen access by now."""
    return real_now >= session.settles_at


async def enter(
    platform: Platform, *, reader: str, reader_id: str, agent: str, is_trusted: bool = False
) -> Entered:
    """Sign a browser in. `is_trusted`: by something that was this person's for a day already."""
    token, real_now = secrets.token_urlsafe(32), datetime.now(UTC)
    async with platform.database.transaction() as connection:
        is_first = not await sessions.has_sessions(connection, reader, reader_id)
        session = SessionRow(
            id=make_id("ses"),
            reader=reader,
            reader_id=reader_id,
            agent=agent[:100],
            created_at=real_now,
            seen_at=real_now,
            expires_at=real_now + SESSION_LASTS,
            proved_at=real_now,
            settles_at=real_now if is_first or is_trusted else real_now + SETTLES_AFTER,
        )
        await sessions.insert_session(connection, session, hash_token(token))
    return Entered(session=session, token=token)


async def enter_by_key(platform: Platform, key: str, agent: str) -> Entered:
    """By the key that a consignee or an operator was given. Raises NotAllowed."""
    prefix = key.rpartition("_")[0]
    reader = next((reader for reader, known in READERS.items() if known == prefix), None)
    find = {"consignee": carriers.find_consignee_by_key, "operator": carriers.find_operator_by_key}
    holder = None
    if reader is not None and len(key) <= 200:
        async with platform.database.connection() as connection:
            holder = await find[reader](connection, hash_key(key))
    if reader is None or holder is None:
        raise NotAllowed("this key is not known")
    return await enter(platform, reader=reader, reader_id=holder.id, agent=agent)


# ---- by mail ----------------------------------------------------------------------------------------------

_LETTERS = {
    Language.ENGLISH: (
        "Your link to sign in",
        (
            "Open this link within 15 minutes, in the browser in which you asked for it: {link} "
            "If you did not ask for it, do nothing: nobody comes in without it."
        ),
    ),
    Language.FRENCH: (
        "Votre lien de connexion",
        (
            "Ouvrez ce lien dans les 15 minutes, dans le navigateur où vous l'avez demandé : {link} "
            "Si vous ne l'avez pas demandé, ne faites rien : personne n'entre sans lui."
        ),
    ),
}


async def send_link(platform: Platform, mail: str, language: Language) -> None:
    """Send a link to whoever has confirmed that address as a channel. Says nothing of whether there is anyone."""
    real_now = datetime.now(UTC)
    digest = digest_of(platform.vault, ChannelKind.EMAIL, {"to": mail.strip()})
    async with platform.database.connection() as connection:
        readers = await sessions.list_mail_readers(connection, digest)
    for reader, reader_id, channel_id, sealed in readers:
        token = secrets.token_urlsafe(32)
        async with platform.database.transaction() as connection:
            if (
                await sessions.count_links(connection, reader, reader_id, real_now - timedelta(hours=1))
                >= LINKS_AN_HOUR
            ):
                continue
            await sessions.insert_link(
                connection,
                hash_token(token),
                reader=reader,
                reader_id=reader_id,
                now=real_now,
                expires_at=real_now + LINK_LASTS,
            )
        # Behind the hash: what stands there is sent to no server and written into no log on the way.
        link = f"{platform.settings.public_url}/sign-in/link#{token}"
        subject, body = _LETTERS[language]
        letter = Letter(
            notice_id=make_id("lnk"),
            channel_id=channel_id,
            event="sign_in",
            is_urgent=True,
            language=language,
            subject=subject,
            body=body.format(link=link),
            told_at=real_now,
        )
        try:
            await platform.dispatcher.send(
                ChannelKind.EMAIL, platform.vault.open_mapping(sealed, channel_id), letter
            )
        except NotDelivered as error:
            log.warning("a link to sign in was not sent", why=error.why)


async def enter_by_link(platform: Platform, token: str, agent: str) -> Entered:
    """By a link that came by mail; it is used up. Raises NotAllowed."""
    async with platform.database.transaction() as connection:
        owner = await sessions.take_link(connection, hash_token(token), datetime.now(UTC))
    if owner is None:
        raise NotAllowed("this link was used already, or is too old: ask for another")
    return await enter(platform, reader=owner[0], reader_id=owner[1], agent=agent)


# ---- passkeys ---------------------------------------------------------------------------------------------


def _rp_id(platform: Platform) -> str:
    return urlsplit(platform.settings.public_url).hostname or "localhost"


def _origin(platform: Platform) -> str:
    parts = urlsplit(platform.settings.public_url)
    return f"{parts.scheme}://{parts.netloc}"


async def _remember(platform: Platform, challenge: bytes, purpose: str, session_id: str | None) -> None:
    async with platform.database.connection() as connection:
        await sessions.insert_challenge(
            connection,
            hashlib.sha256(challenge).digest(),
            purpose=purpose,
            session_id=session_id,
            expires_at=datetime.now(UTC) + CHALLENGE_LASTS,
        )


async def begin_passkey(platform: Platform, session: SessionRow, name: str) -> str:
    """What a browser needs to make a passkey (JSON of WebAuthn). Raises Conflict."""
    async with platform.database.connection() as connection:
        known = await sessions.list_passkeys(connection, session.reader, session.reader_id)
    if len(known) >= sessions.MOST_PASSKEYS:
        raise Conflict(f"at most {sessions.MOST_PASSKEYS} passkeys: take one away first")
    options = generate_registration_options(
        rp_id=_rp_id(platform),
        rp_name=RP_NAME,
        user_name=name,
        user_id=session.reader_id.encode(),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=key.credential_id) for key in known],
    )
    await _remember(platform, options.challenge, "add_passkey", session.id)
    return options_to_json(options)


async def finish_passkey(platform: Platform, session: SessionRow, credential: str, name: str) -> PasskeyRow:
    """Keep the passkey that a browser has made. Raises BadInput."""
    challenge = await _take_challenge(platform, credential, "add_passkey", session.id)
    try:
        made = verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=_rp_id(platform),
            expected_origin=_origin(platform),
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError) as error:
        raise BadInput("credential", "this passkey could not be made: try again") from error
    row = PasskeyRow(
        id=make_id("pky"),
        reader=session.reader,
        reader_id=session.reader_id,
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        name=name[:60] or "passkey",
        created_at=datetime.now(UTC),
        used_at=None,
    )
    try:
        async with platform.database.connection() as connection:
            await sessions.insert_passkey(connection, row)
    except UniqueViolation:
        raise BadInput("credential", "this passkey is kept already") from None
    return row


async def begin_sign_in(platform: Platform) -> str:
    """What a browser needs to offer the passkeys that it has for us (JSON of WebAuthn)."""
    options = generate_authentication_options(
        rp_id=_rp_id(platform), user_verification=UserVerificationRequirement.REQUIRED
    )
    await _remember(platform, options.challenge, "sign_in", None)
    return options_to_json(options)


async def begin_step_up(platform: Platform, session: SessionRow) -> str:
    """The same for somebody who is signed in, by one of their own passkeys."""
    async with platform.database.connection() as connection:
        known = await sessions.list_passkeys(connection, session.reader, session.reader_id)
    options = generate_authentication_options(
        rp_id=_rp_id(platform),
        allow_credentials=[PublicKeyCredentialDescriptor(id=key.credential_id) for key in known],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    await _remember(platform, options.challenge, "step_up", session.id)
    return options_to_json(options)


async def finish_sign_in(platform: Platform, credential: str, agent: str) -> Entered:
    """By a passkey. Raises NotAllowed, BadInput."""
    key = await _check_passkey(platform, credential, "sign_in", None)
    is_old = datetime.now(UTC) - key.created_at > SETTLES_AFTER
    return await enter(platform, reader=key.reader, reader_id=key.reader_id, agent=agent, is_trusted=is_old)


async def finish_step_up(platform: Platform, session: SessionRow, credential: str) -> None:
    """Shown once more. Raises NotAllowed, BadInput."""
    key = await _check_passkey(platform, credential, "step_up", session.id)
    if (key.reader, key.reader_id) != (session.reader, session.reader_id):
        raise NotAllowed("this is somebody else's passkey")
    async with platform.database.connection() as connection:
        await sessions.set_proved(connection, session.id, datetime.now(UTC))


async def _check_passkey(
    platform: Platform, credential: str, purpose: str, session_id: str | None
) -> PasskeyRow:
    challenge = await _take_challenge(platform, credential, purpose, session_id)
    try:
        credential_id = parse_authentication_credential_json(credential).raw_id
    except (WebAuthnException, ValueError, KeyError) as error:
        raise BadInput("credential", "this is no passkey's answer") from error
    async with platform.database.connection() as connection:
        key = await sessions.find_passkey(connection, credential_id)
    if key is None:
        raise NotAllowed("this passkey is not known here, or was taken away")
    try:
        verified = verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=_rp_id(platform),
            expected_origin=_origin(platform),
            credential_public_key=key.public_key,
            credential_current_sign_count=key.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError) as error:
        raise NotAllowed("this passkey did not sign as it should") from error
    async with platform.database.connection() as connection:
        await sessions.use_passkey(
            connection, key.id, sign_count=verified.new_sign_count, now=datetime.now(UTC)
        )
    return key


async def _take_challenge(platform: Platform, credential: str, purpose: str, session_id: str | None) -> bytes:
    """The challenge that this credential says it has signed, if we gave it out for that. Raises BadInput."""
    if len(credential) > MAX_CREDENTIAL_BYTES:
        raise BadInput("credential", f"at most {MAX_CREDENTIAL_BYTES} characters")
    challenge = _challenge_in(credential)
    async with platform.database.connection() as connection:
        is_ours = await sessions.take_challenge(
            connection,
            hashlib.sha256(challenge).digest(),
            purpose=purpose,
            session_id=session_id,
            now=datetime.now(UTC),
        )
    if not is_ours:
        raise BadInput("credential", "this took too long: try again")
    return challenge


def _challenge_in(credential: str) -> bytes:
    try:
        told = msgspec.json.decode(credential)
        client = msgspec.json.decode(base64url_to_bytes(told["response"]["clientDataJSON"]))
        return base64url_to_bytes(client["challenge"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise BadInput("credential", "this is no passkey's answer") from error
