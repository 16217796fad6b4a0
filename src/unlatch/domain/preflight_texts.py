"""What pre-flight says to the consignee, in English and French: what stands in the way, and what to do about it.

It speaks of what is to come: the texts of the same incidents in `wording_en.py` speak of a scan that was refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from unlatch.domain.access import PlaceKind
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
    Remedy.CLOSE_AND_LOCK_DOOR: (
        "Close the door of your home and lock it.",
        "Fermez la porte de votre domicile et verrouillez-la.",
    ),
    Remedy.WITHDRAW_SECOND_BOLT: (
        "Withdraw the second bolt of your door before the courier comes.",
        "Retirez le second verrou de votre porte avant l'arrivée du livreur.",
    ),
    Remedy.DISARM_ALARM: (
        "Disarm your alarm before the courier comes.",
        "Désarmez votre alarme avant l'arrivée du livreur.",
    ),
    Remedy.SHUT_PET_AWAY: (
        "Shut your animal away from the door, and say so in the app.",
        "Enfermez votre animal loin de la porte, et indiquez-le dans l'application.",
    ),
    Remedy.PLUG_IN_CAMERA: (
        "Your camera does not answer: look whether it has power and network, and check again.",
        "Votre caméra ne répond pas : vérifiez son alimentation et son réseau, puis vérifiez de nouveau.",
    ),
    Remedy.CHECK_CAMERA: (
        "Your camera's picture does not move as a living one does: start it anew, and check again.",
        "L'image de votre caméra ne bouge pas comme une image en direct : redémarrez-la, puis vérifiez de nouveau.",
    ),
    Remedy.ENROL_CAMERA: (
        "Enrol a camera that sees the door, in the app: it takes a few minutes.",
        "Enregistrez dans l'application une caméra qui voit la porte : cela prend quelques minutes.",
    ),
    Remedy.LOOK_AT_HUB: (
        "Look whether your home's hub and lock have power and network, and check again.",
        "Vérifiez l'alimentation et le réseau de votre centrale et de votre serrure, puis vérifiez de nouveau.",
    ),
    Remedy.LINK_HUB_AGAIN: (
        "Your home's hub no longer lets us in: link it again.",
        "La centrale de votre domicile ne nous donne plus accès : associez-la de nouveau.",
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
    I.PLATFORM_FROZEN_WIDELY: (
        "We have stopped openings like this one for now.",
        "Nous avons suspendu les ouvertures de ce type pour l'instant.",
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
    I.CONSIGNEE_SECOND_BOLT: (
        "Your door is bolted from inside.",
        "Votre porte est verrouillée de l'intérieur.",
    ),
    I.CONSIGNEE_ALARM_ARMED: ("Your alarm is armed.", "Votre alarme est activée."),
    I.CONSIGNEE_PET_LOOSE: (
        "An animal could run out of your door.",
        "Un animal pourrait s'échapper par votre porte.",
    ),
    I.DEVICE_CAMERA_NOT_ENROLLED: (
        "No camera of your home is known to see the door, or its monthly check is overdue.",
        "Aucune caméra de votre domicile n'a montré qu'elle voit la porte, ou son contrôle mensuel est en retard.",
    ),
    I.DEVICE_CAMERA_OFFLINE: (
        "The camera of your home sends no picture.",
        "La caméra de votre domicile n'envoie aucune image.",
    ),
    I.DEVICE_CAMERA_NOT_PROVEN: (
        "The picture of your home's camera is not a living one.",
        "L'image de la caméra de votre domicile n'est pas en direct.",
    ),
}
# What reads otherwise at a home.
REASON_TEXTS_AT_HOME: Mapping[Incident, tuple[str, str]] = {
    I.DEVICE_LOCK_NOT_READABLE: (
        "Your door can't show whether it is locked, which this delivery needs.",
        "Votre porte ne peut pas indiquer si elle est verrouillée, ce que cette livraison exige.",
    ),
    I.DEVICE_CLOUD_OUTAGE: (
        "The hub of your home can't be reached.",
        "La centrale de votre domicile ne peut pas être jointe.",
    ),
    I.DEVICE_QUOTA_USED_UP: (
        "The hub of your home takes no more requests at the moment.",
        "La centrale de votre domicile n'accepte plus de demandes en ce moment.",
    ),
    I.DEVICE_CONSENT_LOST: (
        "The hub of your home no longer lets us in.",
        "La centrale de votre domicile ne nous donne plus accès.",
    ),
    I.DEVICE_ASLEEP: ("The lock of your door is asleep.", "La serrure de votre porte est en veille."),
    I.DEVICE_NO_READING: (
        "The hub of your home tells nothing of the door at the moment.",
        "La centrale de votre domicile ne dit rien de la porte en ce moment.",
    ),
    I.DEVICE_OPEN_ON_ARRIVAL: ("Your door is open.", "Votre porte est ouverte."),
    I.DEVICE_UNLOCKED_ON_ARRIVAL: ("Your door is unlocked.", "Votre porte est déverrouillée."),
}


def _choose(texts: tuple[str, str], language: Language) -> str:
    english, french = texts
    return french if language is Language.FRENCH else english


def remedy_text(remedy: Remedy, language: Language) -> str:
    """What to do."""
    return _choose(REMEDY_TEXTS[remedy], language)


def reason_text(reason: Incident, language: Language, kind: PlaceKind = PlaceKind.CAR) -> str:
    """What stands in the way."""
    at_home = REASON_TEXTS_AT_HOME.get(reason) if kind is PlaceKind.HOME else None
    return _choose(at_home or REASON_TEXTS[reason], language)
