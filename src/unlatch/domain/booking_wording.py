"""What people read about a change of a booking: what became of their wish, and why not. English and French."""

from __future__ import annotations

from collections.abc import Mapping

from unlatch.domain.booking import Advice, Effect, Outcome, Refusal, Stage, Wish
from unlatch.domain.wording import Language

W, E, R, S, A, L = Wish, Effect, Refusal, Stage, Advice, Language

_DONE: Mapping[Language, Mapping[Wish, str]] = {
    L.ENGLISH: {
        W.REPLAN: "The stop has a new plan, and the household has been told.",
        W.CANCEL: "The stop is cancelled; its parcels are with you again.",
        W.HAND_OVER: "The stop is on this courier's round.",
        W.REDIRECT: "Your parcel goes the way that you have chosen.",
        W.KEEP: "Your parcel comes to the place again, as planned at first.",
        W.EXTEND: "The courier may come until the new end of the window.",
        W.BLOCK: "Nothing is opened there any more.",
        W.UNBLOCK: "Deliveries may open it again, as agreed before.",
        W.FREEZE: "Nothing is opened there any more.",
        W.THAW: "Scans there are decided again as any other's.",
        W.SETTLE: "It is written down where the parcels are, and the stop has ended.",
        W.TAKE_FALLBACK: "It is written down where the parcels are. Go on to the next stop.",
    },
    L.FRENCH: {
        W.REPLAN: "L'arrêt a un nouveau plan, et le foyer en est informé.",
        W.CANCEL: "L'arrêt est annulé ; ses colis sont de nouveau chez vous.",
        W.HAND_OVER: "L'arrêt est dans la tournée de ce livreur.",
        W.REDIRECT: "Votre colis prend la voie que vous avez choisie.",
        W.KEEP: "Votre colis revient au lieu prévu, comme au départ.",
        W.EXTEND: "Le livreur peut venir jusqu'à la nouvelle fin du créneau.",
        W.BLOCK: "Plus rien n'y est ouvert.",
        W.UNBLOCK: "Les livraisons peuvent de nouveau l'ouvrir, comme convenu.",
        W.FREEZE: "Plus rien n'y est ouvert.",
        W.THAW: "Les scans y sont de nouveau décidés comme partout.",
        W.SETTLE: "Il est noté où sont les colis, et l'arrêt est terminé.",
        W.TAKE_FALLBACK: "Il est noté où sont les colis. Passez à l'arrêt suivant.",
    },
}
_EFFECTS: Mapping[Language, Mapping[Effect, str]] = {
    L.ENGLISH: {
        E.STOPS_VISIT: "A courier had asked to open: their visit was stopped, and nothing is opened.",
        E.LOCKS_VISIT: "A visit is under way: what is open is being locked now.",
        E.CHANGES_NOTHING: "It is so already: nothing has changed.",
    },
    L.FRENCH: {
        E.STOPS_VISIT: "Un livreur avait demandé l'ouverture : sa visite est arrêtée, et rien n'est ouvert.",
        E.LOCKS_VISIT: "Une visite est en cours : ce qui est ouvert est en train d'être verrouillé.",
        E.CHANGES_NOTHING: "C'est déjà le cas : rien n'a changé.",
    },
}
_REFUSALS: Mapping[Language, Mapping[Refusal, str]] = {
    L.ENGLISH: {
        R.NOT_ON_A_ROUND: "No courier has this stop yet.",
        R.VISIT_UNDER_WAY: "A courier is at the place now: wait until the visit is over.",
        R.OPENED_ALREADY: "An unlock has left already: it is too late to send the parcel elsewhere. "
        "A block has the place locked at once.",
        R.HOUSEHOLD_REDIRECTED: "The household has sent this parcel another way.",
        R.DELIVERED_ALREADY: "The parcel has been delivered.",
        R.FALLBACK_TAKEN: "The parcel has been delivered another way already.",
        R.CANCELLED_ALREADY: "The carrier has cancelled this delivery.",
        R.WINDOW_OVER: "The window is over.",
        R.EXTENDED_ALREADY: "This window has been extended once already.",
        R.NOT_OFFERED: "This place is not offered for these parcels.",
    },
    L.FRENCH: {
        R.NOT_ON_A_ROUND: "Aucun livreur n'a encore cet arrêt.",
        R.VISIT_UNDER_WAY: "Un livreur est sur place : attendez la fin de la visite.",
        R.OPENED_ALREADY: "Un déverrouillage est déjà parti : il est trop tard pour envoyer le colis ailleurs. "
        "Un blocage fait verrouiller le lieu aussitôt.",
        R.HOUSEHOLD_REDIRECTED: "Le foyer a envoyé ce colis par une autre voie.",
        R.DELIVERED_ALREADY: "Le colis a été livré.",
        R.FALLBACK_TAKEN: "Le colis a déjà été livré autrement.",
        R.CANCELLED_ALREADY: "Le transporteur a annulé cette livraison.",
        R.WINDOW_OVER: "Le créneau est passé.",
        R.EXTENDED_ALREADY: "Ce créneau a déjà été prolongé une fois.",
        R.NOT_OFFERED: "Ce lieu n'est pas proposé pour ces colis.",
    },
}
_STAGES: Mapping[Language, Mapping[Stage, str]] = {
    L.ENGLISH: {
        S.BOOKED: "Booked; no courier yet.",
        S.PLANNED: "On a courier's round.",
        S.UNDER_WAY: "The courier is on the way.",
        S.BEFORE_GATE: "The courier is there and has asked to open.",
        S.OPEN_NOW: "A visit is under way.",
        S.RULED_OUT: "The place can't be opened this time: the parcel is delivered another way.",
        S.REDIRECTED: "The parcel goes the way that the household has chosen.",
        S.FALLBACK_DUE: "The place was not opened: the parcel is delivered another way.",
        S.DELIVERED: "Delivered.",
        S.FALLBACK_DONE: "Delivered another way, or taken back.",
        S.CANCELLED: "Cancelled by the carrier.",
    },
    L.FRENCH: {
        S.BOOKED: "Réservé ; pas encore de livreur.",
        S.PLANNED: "Dans la tournée d'un livreur.",
        S.UNDER_WAY: "Le livreur est en route.",
        S.BEFORE_GATE: "Le livreur est sur place et a demandé l'ouverture.",
        S.OPEN_NOW: "Une visite est en cours.",
        S.RULED_OUT: "Le lieu ne peut pas être ouvert cette fois : le colis est livré autrement.",
        S.REDIRECTED: "Le colis prend la voie que le foyer a choisie.",
        S.FALLBACK_DUE: "Le lieu n'a pas été ouvert : le colis est livré autrement.",
        S.DELIVERED: "Livré.",
        S.FALLBACK_DONE: "Livré autrement, ou repris.",
        S.CANCELLED: "Annulé par le transporteur.",
    },
}
_ADVICE: Mapping[Language, Mapping[Advice, str]] = {
    L.ENGLISH: {
        A.GO_TO_PLACE: "Go to the place and scan the parcel there.",
        A.FINISH_VISIT: "Finish your visit there.",
        A.TAKE_FALLBACK: "Don't go to the place: take the fallback.",
        A.BRING_BACK: "Cancelled: bring its parcels back to the depot.",
        A.NOTHING_MORE: "Nothing more to do here.",
    },
    L.FRENCH: {
        A.GO_TO_PLACE: "Allez sur place et scannez-y le colis.",
        A.FINISH_VISIT: "Terminez votre visite sur place.",
        A.TAKE_FALLBACK: "N'allez pas sur place : appliquez la solution de repli.",
        A.BRING_BACK: "Annulé : rapportez ses colis au dépôt.",
        A.NOTHING_MORE: "Plus rien à faire ici.",
    },
}


def outcome_text(wish: Wish, outcome: Outcome, language: Language) -> str:
    """What the one who wished reads."""
    if outcome.refusal is not None:
        return _REFUSALS[language][outcome.refusal]
    if outcome.effect is Effect.CHANGES_NOTHING:
        return _EFFECTS[language][outcome.effect]
    done = _DONE[language][wish]
    return done if outcome.effect is Effect.DONE else f"{done} {_EFFECTS[language][outcome.effect]}"


def refusal_text(refusal: Refusal, language: Language) -> str:
    """Why not."""
    return _REFUSALS[language][refusal]


def stage_text(stage: Stage, language: Language) -> str:
    """How far a booking has come."""
    return _STAGES[language][stage]


def advice_text(advice: Advice, language: Language) -> str:
    """What the courier does at this stop."""
    return _ADVICE[language][advice]
