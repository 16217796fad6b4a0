"""What pre-flight says to the consignee, in English and French: what stands in the way, and what to do about it.

It speaks of what is to come: the texts of the same incidents in `wording_en.py` speak of a scan that was refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from unlatch.domain.incident import Incident
from unlatch.domain.preflight import Remedy
from unlatch.domain.wording import Language

REMEDY_TEXTS: Mapping[Remedy, tuple[str, str]] = {
    Remedy.UNBLOCK: (
        "Unblock the place, if you want your parcel in it.",
        "Débloquez l'endroit si vous voulez y recevoir votre colis.",
    ),
    Remedy.GIVE_CONSENT: (
        "Your permission for this place has ended: ask your carrier to renew it with you.",
        "Votre autorisation pour cet endroit a pris fin : demandez à votre transporteur de la renouveler avec vous.",
    ),
    Remedy.WIDEN_HOURS: (
        "Your hours for this place don't meet the delivery window: widen them, or choose another way.",
        "Vos horaires pour cet endroit ne couvrent pas le créneau : élargissez-les ou choisissez autre chose.",
    ),
    Remedy.MOVE_CAR_NEARER: (
        "Park nearer to the address of the delivery.",
        "Garez-vous plus près de l'adresse de livraison.",
    ),
    Remedy.PARK_IN_THE_OPEN: (
        "Park in the open, at street level, so that your car can tell where it is.",
        "Garez-vous en plein air, au niveau de la rue, pour que votre voiture puisse indiquer où elle est.",
    ),
    Remedy.WAIT_FOR_PARKING: (
        "Your car is moving: park it near the address before the courier comes.",
        "Votre voiture roule : garez-la près de l'adresse avant l'arrivée du livreur.",
    ),
    Remedy.CLOSE_AND_LOCK: (
        "Close the trunk and lock your car.",
        "Fermez le coffre et verrouillez votre voiture.",
    ),
    Remedy.START_CAR_ONCE: (
        "Your car does not answer: start it once, in the open, and check again.",
        "Votre voiture ne répond pas : démarrez-la une fois, en plein air, puis vérifiez de nouveau.",
    ),
    Remedy.LINK_AGAIN: (
        "Your car's maker no longer lets us in: link your car again.",
        "Le constructeur de votre voiture ne nous donne plus accès : associez de nouveau votre voiture.",
    ),
    Remedy.RENEW_SUBSCRIPTION: (
        "Renew the subscription of your car's connected service.",
        "Renouvelez l'abonnement au service connecté de votre voiture.",
    ),
    Remedy.NOTHING_WE_ARE_ON_IT: (
        "There is nothing that you must do: we are on it.",
        "Vous n'avez rien à faire : nous nous en occupons.",
    ),
    Remedy.NOTHING_IN_TIME: (
        "This can't be mended before the delivery: your parcel goes another way.",
        "Cela ne peut pas être réglé avant la livraison : votre colis prendra un autre chemin.",
    ),
}

I = Incident  # noqa: E741

REASON_TEXTS: Mapping[Incident, tuple[str, str]] = {
    I.CONSIGNEE_BLOCKED: ("The place is blocked.", "L'endroit est bloqué."),
    I.CONSIGNEE_CONSENT_ENDED: (
        "Your permission for this place does not reach to the delivery.",
        "Votre autorisation pour cet endroit ne va pas jusqu'à la livraison.",
    ),
    I.CONSIGNEE_HOUR_NOT_ALLOWED: (
        "Your hours for this place don't meet the delivery window.",
        "Vos horaires pour cet endroit ne couvrent pas le créneau de livraison.",
    ),
    I.PLATFORM_PLACE_FROZEN: (
        "We have stopped all openings of this place for now.",
        "Nous avons suspendu toute ouverture de cet endroit pour l'instant.",
    ),
    I.DEVICE_LOCK_NOT_READABLE: (
        "Your car can't show whether it is locked, which this delivery needs.",
        "Votre voiture ne peut pas indiquer si elle est verrouillée, ce que cette livraison exige.",
    ),
    I.DEVICE_CLOUD_OUTAGE: (
        "The service of your car's maker does not work at the moment.",
        "Le service du constructeur de votre voiture ne fonctionne pas en ce moment.",
    ),
    I.DEVICE_QUOTA_USED_UP: (
        "The service of your car's maker takes no more requests at the moment.",
        "Le service du constructeur de votre voiture n'accepte plus de demandes en ce moment.",
    ),
    I.DEVICE_CONSENT_LOST: (
        "The maker of your car no longer lets us in.",
        "Le constructeur de votre voiture ne nous donne plus accès.",
    ),
    I.DEVICE_SUBSCRIPTION_LAPSED: (
        "The subscription of your car's connected service has lapsed.",
        "L'abonnement au service connecté de votre voiture a expiré.",
    ),
    I.DEVICE_ASLEEP: ("Your car is asleep.", "Votre voiture est en veille."),
    I.DEVICE_NO_READING: (
        "Your car tells nothing of itself at the moment.",
        "Votre voiture ne donne aucune information en ce moment.",
    ),
    I.CONSIGNEE_CAR_MOVING: ("Your car is moving.", "Votre voiture roule."),
    I.DEVICE_POSITION_UNKNOWN: (
        "Your car does not tell where it is.",
        "Votre voiture n'indique pas où elle est.",
    ),
    I.CONSIGNEE_CAR_OUT_OF_RANGE: (
        "Your car is not surely within range of the address.",
        "Votre voiture n'est pas avec certitude à portée de l'adresse.",
    ),
    I.DEVICE_OPEN_ON_ARRIVAL: ("Your car is open.", "Votre voiture est ouverte."),
    I.DEVICE_UNLOCKED_ON_ARRIVAL: ("Your car is unlocked.", "Votre voiture est déverrouillée."),
}


def _choose(texts: tuple[str, str], language: Language) -> str:
    english, french = texts
    return french if language is Language.FRENCH else english


def remedy_text(remedy: Remedy, language: Language) -> str:
    """What to do."""
    return _choose(REMEDY_TEXTS[remedy], language)


def reason_text(reason: Incident, language: Language) -> str:
    """What stands in the way."""
    return _choose(REASON_TEXTS[reason], language)
