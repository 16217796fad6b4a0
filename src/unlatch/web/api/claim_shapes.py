"""What claims take and give, and how each side is shown one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct
from psycopg import AsyncConnection

from unlatch.domain.claim import (
    MOST_PHOTOS,
    MOST_WORDS,
    ClaimAct,
    ClaimKind,
    ClaimParty,
    ClaimState,
    list_acts,
)
from unlatch.domain.claim_texts import act_text, kind_text, state_text
from unlatch.domain.deed import doer_text
from unlatch.domain.household import Right, Role, may
from unlatch.domain.wording import Language as SpokenLanguage
from unlatch.flow.household import first_name
from unlatch.store import aftermath, household
from unlatch.store.aftermath import ClaimRow, ClaimStepRow, EvidenceRow
from unlatch.store.household import PersonRow
from unlatch.web.shapes import Cursor, Identifier, Language, Limit, Moment
from unlatch.web.signing_in import Asker, Reader

MAX_CLAIM_PHOTO_BYTES = 4_000_000
MAX_BODY_WITH_PHOTOS_BYTES = 27_000_000  # five of them in base64, and the rest
_MANY_LINES = r"^[^\u0000-\u0008\u000b-\u001f\u007f]*$"
_PARTIES = {
    Reader.CONSIGNEE: ClaimParty.CLAIMANT,
    Reader.CARRIER: ClaimParty.CARRIER,
    Reader.COURIER: ClaimParty.COURIER,
    Reader.OPERATOR: ClaimParty.OPERATOR,
}

ClaimWords = Annotated[str, Meta(min_length=1, max_length=MOST_WORDS, pattern=_MANY_LINES)]
ClaimPhoto = Annotated[
    bytes,
    Meta(max_length=MAX_CLAIM_PHOTO_BYTES, description="A PNG or JPEG in base64, at most 4 MB of picture"),
]


class ClaimBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What was wrong."""

    kind: ClaimKind
    words: ClaimWords
    photos: Annotated[list[ClaimPhoto], Meta(max_length=MOST_PHOTOS)] = []


class AnswerBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """The carrier's answer."""

    accepts: Annotated[bool, Meta(description="Whether the carrier accepts the claim")]
    words: ClaimWords


class ClaimWordBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What there is to say."""

    words: ClaimWords


class ClaimRuling(Struct, kw_only=True, forbid_unknown_fields=True):
    """A person's ruling, and why."""

    upholds: bool
    words: ClaimWords


class ClaimsQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which of them."""

    state: ClaimState | None = None
    cursor: Cursor | None = None
    limit: Limit = 50


class EvidenceQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which bundle; the latest where none is named."""

    number: Annotated[int, Meta(ge=1, le=1000)] | None = None


class ClaimStep(Struct, kw_only=True):
    """What was done to a claim."""

    number: int
    at: Moment
    who: Annotated[str, Meta(description="In your language: you, a first name, or the part")]
    what: ClaimAct
    text: Annotated[str, Meta(description="In your language")]
    state: Annotated[ClaimState, Meta(description="Of the claim, after it")]
    words: str


class EvidenceShown(Struct, kw_only=True):
    """A bundle of evidence, as `unlatch verify` checks it."""

    number: int
    made_at: Moment
    bytes: int
    sha256: str


class ClaimShown(Struct, kw_only=True):
    """A claim, as it stands."""

    id: Identifier
    stop_id: Identifier
    visit_id: Annotated[Identifier | None, Meta(description="Null: about the stop as a whole")]
    claimant: Annotated[str | None, Meta(description="The name, as far as you know the person")]
    kind: ClaimKind
    kind_text: str
    state: ClaimState
    state_text: str
    words: str
    photos: Annotated[list[str], Meta(description="Their SHA-256")]
    is_accepted: Annotated[bool | None, Meta(description="By the carrier's latest answer")]
    opened_at: Moment
    due_at: Annotated[Moment | None, Meta(description="By when the next step is due")]
    ended_at: Moment | None
    steps: list[ClaimStep]
    evidence: list[EvidenceShown]
    may: Annotated[list[ClaimAct], Meta(description="What you may do to it now")]


class Claims(Struct, kw_only=True):
    """Claims, newest first."""

    claims: list[ClaimShown]
    next: str | None


async def show_claims(
    connection: AsyncConnection, rows: list[ClaimRow], asker: Asker, language: Language
) -> list[ClaimShown]:
    """These claims, as this reader may see them."""
    ids = [row.id for row in rows]
    steps: dict[str, list[ClaimStepRow]] = {}
    for step in await aftermath.list_claim_steps(connection, ids):
        steps.setdefault(step.claim_id, []).append(step)
    bundles: dict[str, list[EvidenceRow]] = {}
    for bundle in await aftermath.list_evidence(connection, ids):
        bundles.setdefault(bundle.claim_id, []).append(bundle)
    photos: dict[str, list[str]] = {}
    for claim_id, digest in await aftermath.list_claim_photo_names(connection, ids):
        photos.setdefault(claim_id, []).append(digest)
    people = {
        place_id: await household.list_people(connection, place_id)
        for place_id in {row.access_point_id for row in rows}
    }
    claimants = await household.list_persons(connection, {row.consignee_id for row in rows})
    return [
        _show_claim(
            row,
            steps.get(row.id, []),
            bundles.get(row.id, []),
            photos.get(row.id, []),
            people[row.access_point_id],
            claimants,
            asker,
            SpokenLanguage(language),
        )
        for row in rows
    ]


def _show_claim(
    row: ClaimRow,
    steps: list[ClaimStepRow],
    bundles: list[EvidenceRow],
    photos: list[str],
    people: list[PersonRow],
    claimants: Mapping[str, tuple[str, str]],
    asker: Asker,
    language: SpokenLanguage,
) -> ClaimShown:
    names = {person.id: person.name for person in people}
    return ClaimShown(
        id=row.id,
        stop_id=row.stop_id,
        visit_id=row.visit_id,
        claimant=_claimant(row, people, claimants, asker),
        kind=row.kind,
        kind_text=kind_text(row.kind, language),
        state=row.state,
        state_text=state_text(row.state, language),
        words=row.words,
        photos=photos,
        is_accepted=row.is_accepted,
        opened_at=row.opened_at,
        due_at=row.due_at,
        ended_at=row.ended_at,
        steps=[_show_step(step, names, asker, language) for step in steps],
        evidence=[
            EvidenceShown(
                number=bundle.number,
                made_at=bundle.made_at,
                bytes=bundle.size,
                sha256=bytes(bundle.sha256).hex(),
            )
            for bundle in bundles
        ],
        may=_list_acts(row, people, asker),
    )


def _claimant(
    row: ClaimRow, people: list[PersonRow], claimants: Mapping[str, tuple[str, str]], asker: Asker
) -> str | None:
    """Whose claim it is, by name, as far as this reader knows the person anyway."""
    name, carrier_id = claimants[row.consignee_id]
    if asker.reader in (Reader.CONSIGNEE, Reader.OPERATOR):
        return name
    if asker.reader is Reader.CARRIER:
        return name if carrier_id == asker.id else None
    return next((one.name for one in people if one.role == Role.OWNER), None)  # as in the courier's own list


def _show_step(
    step: ClaimStepRow, names: Mapping[str, str], asker: Asker, language: SpokenLanguage
) -> ClaimStep:
    part, _, name = step.who.partition(":")
    who = doer_text("person" if part == Reader.CONSIGNEE else part, language)
    if step.who == asker.who:
        who = doer_text("you", language)
    elif part == Reader.CONSIGNEE and asker.reader is Reader.CONSIGNEE:
        who = first_name(names[name]) if name in names else doer_text("consignee", language)
    return ClaimStep(
        number=step.number,
        at=step.at,
        who=who,
        what=ClaimAct(step.what),
        text=act_text(ClaimAct(step.what), language),
        state=ClaimState(step.state),
        words=step.words,
    )


def _list_acts(row: ClaimRow, people: list[PersonRow], asker: Asker) -> list[ClaimAct]:
    if asker.reader is Reader.CONSIGNEE and row.consignee_id != asker.id:
        role = next((Role(one.role) for one in people if one.id == asker.id), None)
        if role is None or not may(role, Right.PURSUE_OTHERS_CLAIM):
            return []
    return list_acts(row.standing, _PARTIES[asker.reader])
