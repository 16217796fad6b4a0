"""What people read of a claim: its kind, how it stands, what was done to it. English, French."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from unlatch.domain.claim import ClaimAct, ClaimKind, ClaimState
from unlatch.domain.wording import Language

K, S, A = ClaimKind, ClaimState, ClaimAct

KIND_TEXTS: Mapping[ClaimKind, tuple[str, str]] = MappingProxyType(
    {
        K.PARCEL_MISSING: ("The parcel is not there.", "Le colis n'est pas là."),
        K.PARCEL_DAMAGED: ("The parcel is damaged.", "Le colis est endommagé."),
        K.WRONG_PARCEL: ("It is another parcel.", "C'est un autre colis."),
        K.PLACE_DAMAGED: ("The car or place was damaged.", "La voiture ou le lieu a été endommagé."),
        K.PLACE_LEFT_OPEN: ("The car or place was left open.", "La voiture ou le lieu est resté ouvert."),
        K.OTHER: ("Something else was wrong.", "Autre chose n'allait pas."),
    }
)
STATE_TEXTS: Mapping[ClaimState, tuple[str, str]] = MappingProxyType(
    {
        S.OPEN: (
            "The carrier has seven days to answer.",
            "Le transporteur a sept jours pour répondre.",
        ),
        S.ANSWERED: (
            "The carrier has answered. Agreed or disputed within 14 days; after that it counts as settled.",
            "Le transporteur a répondu. À accepter ou contester sous 14 jours ; ensuite, c'est réglé.",
        ),
        S.DISPUTED: (
            "The answer is disputed. The carrier has three days; then a person rules.",
            "La réponse est contestée. Le transporteur a trois jours ; ensuite une personne tranche.",
        ),
        S.ESCALATED: ("A person will rule on it.", "Une personne va trancher."),
        S.SETTLED: ("It is settled.", "C'est réglé."),
        S.DISMISSED: ("It was dismissed.", "La réclamation a été rejetée."),
        S.WITHDRAWN: ("It was withdrawn.", "La réclamation a été retirée."),
    }
)
ACT_TEXTS: Mapping[ClaimAct, tuple[str, str]] = MappingProxyType(
    {
        A.OPEN: ("The claim was opened.", "La réclamation a été ouverte."),
        A.ADMIT: ("The carrier accepts the claim.", "Le transporteur accepte la réclamation."),
        A.DENY: ("The carrier does not accept the claim.", "Le transporteur n'accepte pas la réclamation."),
        A.AGREE: ("The answer was agreed to.", "La réponse a été acceptée."),
        A.DISPUTE: ("The answer was disputed.", "La réponse a été contestée."),
        A.WITHDRAW: ("The claim was withdrawn.", "La réclamation a été retirée."),
        A.SAY: ("The courier has said how it was.", "Le livreur a dit comment c'était."),
        A.UPHOLD: ("The operator upholds the claim.", "L'exploitant donne raison à la réclamation."),
        A.DISMISS: ("The operator dismisses the claim.", "L'exploitant rejette la réclamation."),
        A.RUN_OUT: ("The time for the next step was up.", "Le délai de la prochaine étape est passé."),
        A.ADD_EVIDENCE: (
            "The watch over the visit has ended: evidence was added.",
            "La surveillance de la visite a pris fin : des preuves ont été ajoutées.",
        ),
    }
)


def _pick(texts: tuple[str, str], language: Language) -> str:
    return texts[1] if language is Language.FRENCH else texts[0]


def kind_text(kind: ClaimKind, language: Language) -> str:
    """What was wrong."""
    return _pick(KIND_TEXTS[kind], language)


def state_text(state: ClaimState, language: Language) -> str:
    """How the claim stands, and what comes next."""
    return _pick(STATE_TEXTS[state], language)


def act_text(act: ClaimAct, language: Language) -> str:
    """What was done to it."""
    return _pick(ACT_TEXTS[act], language)
