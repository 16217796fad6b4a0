"""What an owner lets us do with their car, and how a link to their account at its maker stands."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto

from unlatch.domain.wording import Language


class Power(StrEnum):
    """One thing that a maker's scope allows. We ask for these and no more."""

    SEE_CARS = auto()
    SEE_WHAT_IT_CAN = auto()
    OPEN = auto()
    LOCK = auto()
    READ_LOCK = auto()
    READ_ENGINE = auto()
    READ_POSITION = auto()
    FLASH = auto()


NEEDED = frozenset({Power.OPEN, Power.LOCK})  # without these a car is no place for parcels


class AccountState(StrEnum):
    """Of a consignee's account at a maker, as far as we are let in."""

    LIVE = auto()
    LOST = auto()  # the maker no longer lets us in: link it again
    ENDING = (
        auto()
    )  # un-linked: opens nothing any more; kept while something must be locked or the maker told
    ENDED = auto()  # its tokens are destroyed


POWER_TEXTS: Mapping[Language, Mapping[Power, str]] = {
    Language.ENGLISH: {
        Power.SEE_CARS: "see which cars are in the account",
        Power.SEE_WHAT_IT_CAN: "see what the car can do from afar",
        Power.OPEN: "open the trunk for a delivery",
        Power.LOCK: "lock the car",
        Power.READ_LOCK: "see whether it is closed and locked",
        Power.READ_ENGINE: "see whether it is parked",
        Power.READ_POSITION: "see where it stands",
        Power.FLASH: "flash its lamps, so that the courier finds it",
    },
    Language.FRENCH: {
        Power.SEE_CARS: "voir quelles voitures sont dans le compte",
        Power.SEE_WHAT_IT_CAN: "voir ce que la voiture sait faire à distance",
        Power.OPEN: "ouvrir le coffre pour une livraison",
        Power.LOCK: "verrouiller la voiture",
        Power.READ_LOCK: "voir si elle est fermée et verrouillée",
        Power.READ_ENGINE: "voir si elle est garée",
        Power.READ_POSITION: "voir où elle se trouve",
        Power.FLASH: "faire clignoter ses feux, pour que le livreur la trouve",
    },
}


class LinkPage(StrEnum):
    """What the owner's browser shows when the maker has led it back."""

    ASK = auto()  # is it you? {who} {maker}
    LINKED = auto()
    NARROWED = auto()  # linked again, but with less than its places need
    DENIED = auto()
    STALE = auto()
    FAILED = auto()
    OTHER_ACCOUNT = auto()
    TOO_MANY = auto()


# A title and a sentence. `{maker}` is the maker's label, `{who}` the consignee's name and `{carrier}` their carrier's.
PAGE_TEXTS: Mapping[Language, Mapping[LinkPage, tuple[str, str]]] = {
    Language.ENGLISH: {
        LinkPage.ASK: (
            "Let {who} link your car?",
            "Your {maker} account is about to be linked to {who}, a customer of {carrier}. Go on only if that is you.",
        ),
        LinkPage.LINKED: ("Linked", "Your {maker} account is linked. Go back to the app to choose the car."),
        LinkPage.NARROWED: (
            "Linked, but not enough",
            "You did not agree at {maker} that we open and lock. Link it again and agree to both.",
        ),
        LinkPage.DENIED: ("Not linked", "You did not agree at {maker}, so nothing was linked."),
        LinkPage.STALE: (
            "This link can't be used",
            "It was used already, or is too old. Begin again in the app.",
        ),
        LinkPage.FAILED: (
            "Not linked",
            "{maker} did not let us in just now. Nothing was linked. Begin again in the app.",
        ),
        LinkPage.OTHER_ACCOUNT: (
            "Another account",
            "This {maker} account does not have the car that is to be linked again. Nothing was changed.",
        ),
        LinkPage.TOO_MANY: (
            "Not linked",
            "You have as many accounts linked as can be. Un-link one in the app, then begin again.",
        ),
    },
    Language.FRENCH: {
        LinkPage.ASK: (
            "Laisser {who} relier votre voiture ?",
            "Votre compte {maker} va être relié à {who}, client de {carrier}. Ne continuez que si c'est vous.",
        ),
        LinkPage.LINKED: (
            "Relié",
            "Votre compte {maker} est relié. Revenez à l'application pour choisir la voiture.",
        ),
        LinkPage.NARROWED: (
            "Relié, mais pas assez",
            "Chez {maker}, vous n'avez pas accepté l'ouverture et le verrouillage. Recommencez en acceptant les deux.",
        ),
        LinkPage.DENIED: (
            "Non relié",
            "Vous n'avez pas donné votre accord chez {maker} : rien n'a été relié.",
        ),
        LinkPage.STALE: (
            "Ce lien ne peut pas servir",
            "Il a déjà servi, ou il est trop ancien. Recommencez dans l'application.",
        ),
        LinkPage.FAILED: (
            "Non relié",
            "{maker} ne nous a pas laissés entrer cette fois. Rien n'a été relié. Recommencez dans l'application.",
        ),
        LinkPage.OTHER_ACCOUNT: (
            "Un autre compte",
            "Ce compte {maker} n'a pas la voiture à relier de nouveau. Rien n'a changé.",
        ),
        LinkPage.TOO_MANY: (
            "Non relié",
            "Vous avez déjà relié autant de comptes que possible. Déliez-en un dans l'application, puis recommencez.",
        ),
    },
}
CONFIRM_TEXTS: Mapping[Language, str] = {
    Language.ENGLISH: "Yes, that is me: link it",
    Language.FRENCH: "Oui, c'est moi : relier",
}
BACK_TEXTS: Mapping[Language, str] = {
    Language.ENGLISH: "Back to my places",
    Language.FRENCH: "Retour à mes lieux",
}
