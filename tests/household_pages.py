"""Pages of the manual on households and claims, written from the tables that decide. See `reference_pages.py`."""

from __future__ import annotations

from tests.reference_pages import draw_page, draw_table

from unlatch.domain.claim import CLAIM_LASTS_S, CLAIM_TURNS, FINAL, PARTIES, ClaimKind, ClaimState
from unlatch.domain.claim_texts import act_text, kind_text, state_text
from unlatch.domain.deed import DEED_TEXTS, Deed
from unlatch.domain.evidence import EVIDENCE_FORMAT
from unlatch.domain.household import MEANINGS, MOST_MEMBERS, MOST_OPEN_INVITATIONS, RIGHTS, Right, Role
from unlatch.domain.wording import Language
from unlatch.flow.evidence import MOST_DEEDS, MOST_LOOKS, MOST_VISITS


def draw_household() -> str:
    """Who of a household may do what."""
    rights = [
        (f"`{right}`", MEANINGS[right], *("yes" if role in RIGHTS[right] else "no" for role in Role))
        for right in Right
    ]
    deeds = [(f"`{deed}`", *DEED_TEXTS[deed]) for deed in Deed]
    return draw_page(
        "The household",
        "domain/household.py and domain/deed.py",
        "Several people share a place: its **owner**, for whom it was registered or who was handed it, and up to "
        f"{MOST_MEMBERS} **members**, whom the owner has let in. Whoever is of the household sees "
        f"everything that happens "
        "at the place, from before they joined too.",
        "## Rights",
        draw_table(("right", "what it is", *(role.value for role in Role)), rights),
        "A member ends only a block that is theirs alone: where the owner, or another member, has "
        "blocked the place as "
        "well, one of them or the owner ends it. A freeze is the operator's, and nobody of a household ends it.",
        "## Joining and leaving",
        f"The owner makes a code (`POST /v1/me/access_points/{{access_point_id}}/invitations`): 100 "
        f"random bits, shown once, kept "
        f"as a hash, good for one person and one day; at most {MOST_OPEN_INVITATIONS} are open. Another "
        f"consignee joins with "
        "a key of their own (`POST /v1/me/households/join`). A code that is wrong, used, withdrawn or "
        "too old says the same "
        "in each case. Whoever tries more than ten has one try a minute.",
        "A member leaves, or is removed by the owner: from that commit on they see nothing more of the "
        "place, no line of a "
        "live stream that comes after it, and no notice. They are told that they were removed.",
        "The owner can't leave. They hand the place to a member first, who must be known to the carrier "
        "of the place, since "
        "its shipments are to the owner. The former owner becomes a member; their open invitations end. "
        "A car that is reached through an account of theirs at its maker is so for seven days more, or until they "
        "leave: meanwhile the new owner links it through an account of their own "
        "([why](../decisions/0010-a-link-goes-with-its-person.md)).",
        "## People of several carriers",
        "A household may have people whom different carriers have registered: the owner decides who "
        "shares the place, not "
        "a carrier. No carrier learns anything by it. It sees its own visits and stops alone; the name "
        "of a person whom "
        "another carrier has registered stands in none of its answers, a claim by that person included.",
        "## Who did what",
        "`GET /v1/me/timeline` is one list of visits, deeds and looks, newest first. Each deed names "
        "who did it (*you*, a first "
        "name, or the carrier, the courier, the operator) and says what it was, in English or French. A "
        "code is in none.",
        draw_table(("deed", "English", "French"), deeds),
    )


MOST_IN_A_BUNDLE = f"at most {MOST_DEEDS} deeds, {MOST_LOOKS} looks and {MOST_VISITS} visits"


def draw_claims() -> str:
    """How a claim is settled, and what its evidence is."""
    english = Language.ENGLISH
    turns = [
        (
            f"`{state}`",
            f"`{act}`",
            PARTIES[act].value,
            f"`{after}`",
            act_text(act, english),
        )
        for state in ClaimState
        for act, after in CLAIM_TURNS[state].items()
    ]
    states = [
        (
            f"`{state}`",
            "final" if state in FINAL else f"{CLAIM_LASTS_S[state] / 86_400:.0f} days",
            state_text(state, english),
        )
        for state in ClaimState
    ]
    return draw_page(
        "Ratings and claims",
        "domain/claim.py",
        "## Ratings",
        "Each person of the household rates an ended visit once, within 30 days, with one to five stars "
        "and words if they "
        "like (`POST /v1/me/visits/{visit_id}/rating`), and may change that for seven days. The carrier "
        "reads a visit's ratings "
        "without names. Of a courier, the carrier and the courier read count, mean and histogram of the "
        "last 90 days, once "
        "there are at least five ratings by at least three people: before that, nothing, so that nobody "
        "is found out.",
        "## Claims",
        "Within 30 days of a visit's end, or of a stop that nobody visited or whose fallback went "
        "wrong, each person of the "
        "household may open one claim of each kind, with up to five photos. It belongs to the "
        "household: all of it see the "
        "claim; whoever opened it pursues it, and so does the owner.",
        draw_table(("kind", "text"), [(f"`{kind}`", kind_text(kind, english)) for kind in ClaimKind]),
        draw_table(("state", "may wait", "text"), states),
        draw_table(("state", "act", "by", "then", "text"), turns),
        "What is `escalated` waits for an operator however long it takes; what is overdue stands first "
        "in their list. The "
        "courier of the visit may add a word of their own, once, while the claim is open, and sees no "
        "name that is not in "
        "their list of stops. Each step is a row that is never changed, and household and carrier are told of it.",
        "While a claim is open, nothing that is known of its visits may be forgotten: no clip of them is erased, "
        "by the clock or by anyone. It lets nobody see a clip; for that the place's owner gives a "
        "[pass](../why/cameras-and-privacy.md).",
        "## The evidence",
        f"Opening a claim seals a bundle of evidence, `{EVIDENCE_FORMAT}`, in the same transaction. It "
        f"is the same for all "
        "sides (`GET /v1/claims/{claim_id}/evidence`), is never changed, and each download is a look "
        "that the household is shown. "
        "If the closure was still watched then, a second bundle follows when the watch is over.",
        "It is a ZIP archive that any tool opens, stored without compression in exactly one way of writing:",
        draw_table(
            ("file", "holds"),
            [
                (
                    "`manifest.json`",
                    "name, size and SHA-256 of every file; signed with the [key of the proofs](proof.md)",
                ),
                ("`claim.json`", "what is claimed, when, about what"),
                (
                    "`counted.json`",
                    f"how many deeds, looks and visits there were; in it are the newest, {MOST_IN_A_BUNDLE}",
                ),
                ("`deeds.json`", "what people did to the stop"),
                (
                    "`fallbacks.json`",
                    "where each parcel went that was not put into the place; its photo in `fallbacks/`",
                ),
                ("`looks.json`", "who saw where the place is, for this stop"),
                ("`photos/`", "the claimant's photos, by their SHA-256"),
                (
                    "`visits/`",
                    "the [proof](proof.md) of each visit, with photos and clips' parts; positions are withheld",
                ),
            ],
        ),
        "`unlatch verify FILE` checks the manifest's signature, every digest, each proof within, and "
        "every byte between them, "
        "and names the first file that was touched. It says where "
        "not all deeds, looks and visits are in it. Ratings are no evidence, and stand in none.",
    )
