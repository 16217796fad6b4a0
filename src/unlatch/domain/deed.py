"""What people do to a place or a stop, in words that everyone of a household reads in their timeline.

A deed is told without its doer ("This place was blocked"), who is named beside it: so one text fits you, another
person, a carrier and a courier, in both languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from types import MappingProxyType

from unlatch.domain.wording import Language


class Deed(StrEnum):
    """What was done: the word in `deed.what`."""

    BOOKED = auto()
    REPLANNED = auto()
    CANCELLED = auto()
    HANDED_OVER = auto()
    REDIRECTED = auto()
    KEPT = auto()
    EXTENDED = auto()
    FALLBACK_DONE = auto()
    BLOCKED = auto()
    UNBLOCKED = auto()
    FROZEN = auto()
    THAWED = auto()
    INVITED = auto()
    INVITATION_WITHDRAWN = auto()
    JOINED = auto()
    LEFT = auto()
    REMOVED = auto()
    OWNERSHIP_GIVEN = auto()
    LINKED = auto()
    LINKED_AGAIN = auto()
    UNLINKED = auto()
    HUB_LINKED_AGAIN = auto()
    HOME_UNLINKED = auto()
    HOME_SET = auto()
    CAMERA_ADDED = auto()
    CAMERA_REMOVED = auto()
    FEED_OFFERED = auto()
    CAMERA_ENROLLED = auto()
    CHECKED = auto()
    RATED = auto()
    CLAIMED = auto()
    CLAIM_ANSWERED = auto()
    CLAIM_AGREED = auto()
    CLAIM_DISPUTED = auto()
    CLAIM_WITHDRAWN = auto()
    CLAIM_WORD = auto()
    CLAIM_RULED = auto()
    WATCHING_LET = auto()
    WATCHING_ENDED = auto()
    CLIPS_ERASED = auto()
    CLIPS_HELD = auto()
    CLIPS_RELEASED = auto()
    PASS_GIVEN = auto()
    PASS_ENDED = auto()
    GLASS_BROKEN = auto()
    TAKE_OVER_AGREED = auto()
    TAKE_OVER_DECLINED = auto()
    PLACE_CLOSED = auto()


# English, French.
DEED_TEXTS: Mapping[Deed, tuple[str, str]] = MappingProxyType(
    {
        Deed.BOOKED: ("A delivery was booked.", "Une livraison a été réservée."),
        Deed.REPLANNED: ("The delivery was planned anew.", "La livraison a été replanifiée."),
        Deed.CANCELLED: ("The delivery was cancelled.", "La livraison a été annulée."),
        Deed.HANDED_OVER: (
            "The delivery was given to another courier.",
            "La livraison a été confiée à un autre livreur.",
        ),
        Deed.REDIRECTED: (
            "The delivery was sent elsewhere: this place is not opened for it.",
            "La livraison a été redirigée : ce lieu ne sera pas ouvert pour elle.",
        ),
        Deed.KEPT: (
            "The delivery comes to this place after all.",
            "La livraison vient finalement à ce lieu.",
        ),
        Deed.EXTENDED: (
            "The window of the delivery was extended.",
            "Le créneau de la livraison a été prolongé.",
        ),
        Deed.FALLBACK_DONE: (
            "The parcel was taken elsewhere, as planned.",
            "Le colis a été déposé ailleurs, comme prévu.",
        ),
        Deed.BLOCKED: ("This place was blocked.", "Ce lieu a été bloqué."),
        Deed.UNBLOCKED: ("This place was unblocked.", "Ce lieu a été débloqué."),
        Deed.FROZEN: (
            "This place was frozen: nothing is opened there.",
            "Ce lieu a été gelé : rien n'y est ouvert.",
        ),
        Deed.THAWED: ("The freeze of this place was ended.", "Le gel de ce lieu a pris fin."),
        Deed.INVITED: (
            "An invitation to share this place was made.",
            "Une invitation à partager ce lieu a été créée.",
        ),
        Deed.INVITATION_WITHDRAWN: (
            "An invitation to share this place was withdrawn.",
            "Une invitation à partager ce lieu a été retirée.",
        ),
        Deed.JOINED: ("This place has one more member.", "Ce lieu compte un membre de plus."),
        Deed.LEFT: ("The household of this place was left.", "Le foyer de ce lieu a été quitté."),
        Deed.REMOVED: (
            "A member was removed from this place.",
            "Un membre a été retiré de ce lieu.",
        ),
        Deed.OWNERSHIP_GIVEN: (
            "This place was given to another owner.",
            "Ce lieu a été confié à un autre propriétaire.",
        ),
        Deed.LINKED: ("A car was linked.", "Une voiture a été liée."),
        Deed.LINKED_AGAIN: ("The car was linked anew.", "La voiture a été liée de nouveau."),
        Deed.UNLINKED: ("The car was unlinked.", "La liaison avec la voiture a été supprimée."),
        Deed.HUB_LINKED_AGAIN: (
            "The hub of this home was linked anew.",
            "La centrale de ce domicile a été liée de nouveau.",
        ),
        Deed.HOME_UNLINKED: (
            "The home was unlinked: what opened its door and cameras was erased.",
            "La liaison avec le domicile a été supprimée : ce qui ouvrait sa porte et ses caméras a été effacé.",
        ),
        Deed.HOME_SET: (
            "What a courier must mind at this home was changed.",
            "Ce qu'un livreur doit savoir de ce domicile a été modifié.",
        ),
        Deed.CAMERA_ADDED: ("A camera was added.", "Une caméra a été ajoutée."),
        Deed.CAMERA_REMOVED: ("A camera was removed.", "Une caméra a été retirée."),
        Deed.FEED_OFFERED: (
            "A link was made with which a phone films in place of a camera.",
            "Un lien a été créé pour qu'un téléphone filme à la place d'une caméra.",
        ),
        Deed.CAMERA_ENROLLED: (
            "A camera has shown that it lives and sees the door.",
            "Une caméra a montré qu'elle est en direct et voit la porte.",
        ),
        Deed.CHECKED: (
            "Whether the car is in range was checked.",
            "La portée de la voiture a été vérifiée.",
        ),
        Deed.RATED: ("A visit was rated.", "Une visite a été notée."),
        Deed.CLAIMED: ("A claim was opened.", "Une réclamation a été ouverte."),
        Deed.CLAIM_ANSWERED: ("A claim was answered.", "Une réclamation a reçu une réponse."),
        Deed.CLAIM_AGREED: (
            "The answer to a claim was agreed to.",
            "La réponse à une réclamation a été acceptée.",
        ),
        Deed.CLAIM_DISPUTED: (
            "The answer to a claim was disputed.",
            "La réponse à une réclamation a été contestée.",
        ),
        Deed.CLAIM_WITHDRAWN: ("A claim was withdrawn.", "Une réclamation a été retirée."),
        Deed.CLAIM_WORD: (
            "A word was added to a claim.",
            "Un mot a été ajouté à une réclamation.",
        ),
        Deed.CLAIM_RULED: ("A claim was ruled on.", "Une réclamation a été tranchée."),
        Deed.WATCHING_LET: (
            "A member was let watch the cameras and clips of this place.",
            "Un membre a été autorisé à regarder les caméras et les clips de ce lieu.",
        ),
        Deed.WATCHING_ENDED: (
            "A member was no longer let watch the cameras and clips of this place.",
            "Un membre n'est plus autorisé à regarder les caméras et les clips de ce lieu.",
        ),
        Deed.CLIPS_ERASED: (
            "The recording of a visit was erased.",
            "L'enregistrement d'une visite a été effacé.",
        ),
        Deed.CLIPS_HELD: (
            "The recording of a visit is kept for longer.",
            "L'enregistrement d'une visite est conservé plus longtemps.",
        ),
        Deed.CLIPS_RELEASED: (
            "The recording of a visit is no longer kept for longer.",
            "L'enregistrement d'une visite n'est plus conservé plus longtemps.",
        ),
        Deed.PASS_GIVEN: (
            "Someone outside the household was allowed to see the recording of a visit.",
            "Une personne extérieure au foyer a été autorisée à voir l'enregistrement d'une visite.",
        ),
        Deed.PASS_ENDED: (
            "The permission to see the recording of a visit was ended.",
            "L'autorisation de voir l'enregistrement d'une visite a pris fin.",
        ),
        Deed.GLASS_BROKEN: (
            "The recording of a visit was opened to one operator without your consent, for half an hour.",
            "L'enregistrement d'une visite a été ouvert à un exploitant sans votre accord, pour une demi-heure.",
        ),
        Deed.TAKE_OVER_AGREED: (
            "A member agreed to be the owner of this place when its owner goes.",
            "Un membre a accepté d'être propriétaire de ce lieu quand son propriétaire partira.",
        ),
        Deed.TAKE_OVER_DECLINED: (
            "A member no longer agrees to be the owner of this place.",
            "Un membre n'accepte plus d'être propriétaire de ce lieu.",
        ),
        Deed.PLACE_CLOSED: (
            "This place was closed: its owner has gone.",
            "Ce lieu a été fermé : son propriétaire est parti.",
        ),
    }
)
# Who did it, where it is not a person of the household: English, French.
DOER_TEXTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "you": ("you", "vous"),
        "consignee": ("someone who has left", "une personne partie depuis"),
        "person": ("the consignee", "le destinataire"),
        "carrier": ("the carrier", "le transporteur"),
        "courier": ("the courier", "le livreur"),
        "operator": ("the operator", "l'exploitant"),
        "clock": ("the clock", "l'horloge"),
        "platform": ("the platform", "la plateforme"),
    }
)


def deed_text(what: str, language: Language) -> str:
    """What was done, as it is read. Raises ValueError at a word that is no deed."""
    english, french = DEED_TEXTS[Deed(what)]
    return french if language is Language.FRENCH else english


def doer_text(part: str, language: Language) -> str:
    """Who did it, by part; a part that has no text is named as it is."""
    english, french = DOER_TEXTS.get(part, (part, part))
    return french if language is Language.FRENCH else english
