"""Erasure of a person: its steps in their order, what may hold one, and how both are told.

A step that finds something held leaves it and goes on with the rest; all of them are done again until nothing is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from types import MappingProxyType

from unlatch.domain.wording import Language

RECEIPT_DAYS = 30  # the receipt's link, from the end of the erasure on
FALLBACK_GRACE_S = 86_400.0  # so long after its window a courier may still need a stop's address


class Step(StrEnum):
    """What is erased, in this order: who has lost their way in can bring nothing new."""

    ACCESS = auto()  # sessions, keys, passkeys, links
    PLACES = auto()  # handed over, or closed
    HOUSEHOLDS = auto()  # of others: left
    ACCOUNTS = auto()  # at makers: un-linked, their tokens destroyed
    CHANNELS = auto()  # ways of being told, and what was told
    NAME = auto()  # where others were told it, and at last the person's own row
    RECORDINGS = auto()  # the keys of clips
    VISITS = auto()  # private parts of journals, photos
    WORDS = auto()  # of ratings and claims, with their evidence
    ADDRESSES = auto()  # of closed places: position, car, door, cameras


class Held(StrEnum):
    """Why something is kept for now."""

    VISIT = auto()  # under way, or its closure is still watched
    DELIVERY = auto()  # to come, or on its way to its fallback: its courier needs the address
    CLAIM = auto()  # an open one
    HOLD = auto()  # of the operator, on what was recorded
    ACCOUNT = auto()  # un-linked, and its maker is yet to be told


# English, French.
STEP_TEXTS: Mapping[Step, tuple[str, str]] = MappingProxyType(
    {
        Step.ACCESS: (
            "Your sign-ins, keys, passkeys and links.",
            "Vos connexions, clés, clés d'accès et liens.",
        ),
        Step.PLACES: (
            "Your places: handed to a member who has agreed to that, else closed.",
            "Vos lieux : confiés à un membre qui l'a accepté, sinon fermés.",
        ),
        Step.HOUSEHOLDS: (
            "Your share in the places of others, which they keep.",
            "Votre part dans les lieux d'autres personnes, qui les gardent.",
        ),
        Step.ACCOUNTS: (
            "The links to your accounts at makers, and our tokens for them.",
            "Les liens avec vos comptes chez les constructeurs, et nos jetons pour ceux-ci.",
        ),
        Step.CHANNELS: (
            "The ways in which you are told, and what you were told.",
            "Les moyens de vous prévenir, et ce dont vous avez été prévenu.",
        ),
        Step.NAME: (
            "Your name, here and in what others were told.",
            "Votre nom, ici et dans ce que d'autres ont appris.",
        ),
        Step.RECORDINGS: (
            "The recordings of visits to the places that close.",
            "Les enregistrements des visites aux lieux qui ferment.",
        ),
        Step.VISITS: (
            "Positions and photos of visits to these places.",
            "Les positions et les photos des visites à ces lieux.",
        ),
        Step.WORDS: (
            "What you wrote in ratings and claims, with its photos and evidence.",
            "Ce que vous avez écrit dans vos notes et réclamations, avec photos et preuves.",
        ),
        Step.ADDRESSES: (
            "The addresses of these places, with cars, plates, locks and cameras.",
            "Les adresses de ces lieux, avec voitures, plaques, serrures et caméras.",
        ),
    }
)
HELD_TEXTS: Mapping[Held, tuple[str, str]] = MappingProxyType(
    {
        Held.VISIT: (
            "A visit is under way, or its lock is still watched: what it needs goes when that is over.",
            "Une visite est en cours, ou sa serrure encore surveillée : le nécessaire est effacé ensuite.",
        ),
        Held.DELIVERY: (
            "A delivery goes to its fallback: its courier needs the address until then.",
            "Une livraison part vers sa solution de repli : le livreur a besoin de l'adresse d'ici là.",
        ),
        Held.CLAIM: (
            "An open claim keeps what it is about until it is settled, withdrawn or ruled on.",
            "Une réclamation ouverte garde ce dont elle traite jusqu'à son règlement, son retrait ou sa décision.",
        ),
        Held.HOLD: (
            "The operator keeps the recording of a visit.",
            "L'exploitant conserve l'enregistrement d'une visite.",
        ),
        Held.ACCOUNT: (
            "A maker is being told that our tokens are worth nothing any more.",
            "Un constructeur est en train d'apprendre que nos jetons ne valent plus rien.",
        ),
    }
)
# What stays for good, and names nobody.
KEPT_TEXTS: tuple[tuple[str, str], ...] = (
    (
        "The journals of visits without positions: times, states, and who did what by number alone.",
        "Les journaux des visites sans positions : heures, états, et qui a fait quoi par numéro seulement.",
    ),
    (
        "That someone looked at a place, and when; what was done there, without names.",
        "Le fait que quelqu'un a consulté un lieu, et quand ; ce qui y a été fait, sans noms.",
    ),
    (
        "Stars and the outcome of claims, without words; parcels and shipments under the carrier's numbers.",
        "Étoiles et issue des réclamations, sans mots ; colis et envois sous les numéros du transporteur.",
    ),
    (
        "For a day, sealed answers to requests of others, so that a repeat of one gets the same answer.",
        "Pendant un jour, des réponses scellées aux requêtes d'autres personnes, pour leurs répétitions.",
    ),
)


def step_text(step: str, language: Language) -> str:
    """What a step erases. Raises ValueError at a word that is no step."""
    return _choose(STEP_TEXTS[Step(step)], language)


def held_text(why: Held, language: Language) -> str:
    """Why something is kept for now."""
    return _choose(HELD_TEXTS[why], language)


def kept_texts(language: Language) -> list[str]:
    """What stays for good."""
    return [_choose(one, language) for one in KEPT_TEXTS]


def _choose(texts: tuple[str, str], language: Language) -> str:
    return texts[1] if language is Language.FRENCH else texts[0]
