"""What people read of each reason of eligibility, in English and French. One text for every reader.

Said of the parcel, the address and the car, never of "you": the one who asks may be the consignee, the carrier, or
someone who only wants to know.
"""

from __future__ import annotations

from collections.abc import Mapping

from unlatch.domain.eligibility import Reason
from unlatch.domain.wording import Language

R = Reason

_ENGLISH: Mapping[Reason, str] = {
    R.MEMBER_PLAN_MISSING: "The service is for members of a plan that was not named.",
    R.MEMBER_PLAN_NOT_TOLD: "The service is for members of a plan. No plan was given.",
    R.ADDRESS_COUNTRY_NOT_SERVED: "The service is not offered in this country.",
    R.ADDRESS_POSITION_UNKNOWN: "This postcode is not known. The position of the address is needed.",
    R.ADDRESS_AREA_NOT_SERVED: "This address lies outside the areas where the service is offered.",
    R.PLACE_KIND_NOT_SERVED: "The service is not offered for this kind of place.",
    R.PLACE_RANGE_TOO_WIDE: "The car may stand farther from this address than the service takes.",
    R.PLACE_LOCK_NOT_ALLOWED: "This car's lock can't be seen from afar, and its household has not allowed that.",
    R.PARCEL_TOO_HEAVY: "The parcel is too heavy.",
    R.PARCEL_TOO_LARGE: "The parcel is too large, whichever way it is turned.",
    R.PARCEL_NOT_MEASURED: "The parcel's weight and its three sides are needed.",
    R.PARCEL_TOO_VALUABLE: "The parcel is worth more than may be left in such a place.",
    R.PARCEL_OTHER_CURRENCY: "The parcel's value is given in another currency than the limit.",
    R.PARCEL_VALUE_NOT_TOLD: "The parcel's value is needed.",
    R.PARCEL_NEEDS_SIGNATURE: "Someone must sign for this parcel.",
    R.PARCEL_OF_OTHER_SELLER: "The parcel is sold by another seller than the merchant itself.",
    R.PARCEL_DANGEROUS: "The parcel holds dangerous goods.",
    R.PARCEL_NOT_DECLARED: "It must be said who sells the parcel, and whether it holds dangerous goods or needs a "
    "signature.",
    R.VEHICLE_NOT_TOLD: "The car's make is needed.",
    R.VEHICLE_MAKE_NOT_SERVED: "Cars of this make are not served.",
    R.VEHICLE_TOO_OLD: "The car is of an earlier model year than those served.",
    R.VEHICLE_TOO_NEW: "The car is of a later model year than those served.",
    R.VEHICLE_YEAR_NOT_TOLD: "The car's model year is needed.",
    R.VEHICLE_SERVICE_MISSING: "The car's connected service has no active subscription.",
    R.VEHICLE_SERVICE_NOT_TOLD: "The car needs an active subscription of its connected service.",
    R.VEHICLE_NOT_CONNECTED: "Cars of this make can't be opened by this service yet.",
    R.VEHICLE_LOCK_NOT_READABLE: "This car's lock can't be seen from afar, and the service wants to see it.",
    R.VEHICLE_LOCK_NOT_TOLD: "The kind of the car's account is needed: not every kind shows the lock.",
    R.HOME_CAMERA_NOT_ENROLLED: "No camera of this home was shown to see its door yet.",
    R.HOME_CAMERA_CHECK_OVERDUE: "The monthly check of this home's camera is overdue.",
    R.HOME_LOCK_TOO_WEAK: "This door can't show well enough that it is locked: the service wants a contact sensor with "
    "its lock.",
    R.VIN_NOT_WELL_FORMED: "A vehicle identification number has 17 letters and digits, without I, O and Q.",
    R.VIN_CHECK_DIGIT_WRONG: "This vehicle identification number has a typing error: its check digit is wrong.",
    R.VIN_OF_OTHER_MAKE: "This vehicle identification number belongs to a car of another make.",
    R.VIN_OF_OTHER_YEAR: "This vehicle identification number belongs to a car of another model year.",
}
_FRENCH: Mapping[Reason, str] = {
    R.MEMBER_PLAN_MISSING: "Le service est réservé aux membres d'une formule qui n'a pas été indiquée.",
    R.MEMBER_PLAN_NOT_TOLD: "Le service est réservé aux membres d'une formule. Aucune n'a été indiquée.",
    R.ADDRESS_COUNTRY_NOT_SERVED: "Le service n'est pas proposé dans ce pays.",
    R.ADDRESS_POSITION_UNKNOWN: "Ce code postal est inconnu. Il faut la position de l'adresse.",
    R.ADDRESS_AREA_NOT_SERVED: "Cette adresse se trouve hors des zones où le service est proposé.",
    R.PLACE_KIND_NOT_SERVED: "Le service n'est pas proposé pour ce type de lieu.",
    R.PLACE_RANGE_TOO_WIDE: "La voiture peut stationner plus loin de cette adresse que le service ne l'admet.",
    R.PLACE_LOCK_NOT_ALLOWED: "La serrure de cette voiture ne peut pas être vue à distance, et son foyer le refuse.",
    R.PARCEL_TOO_HEAVY: "Le colis est trop lourd.",
    R.PARCEL_TOO_LARGE: "Le colis est trop grand, quel que soit le sens.",
    R.PARCEL_NOT_MEASURED: "Il faut le poids du colis et ses trois dimensions.",
    R.PARCEL_TOO_VALUABLE: "Le colis vaut plus que ce qui peut être laissé dans un tel lieu.",
    R.PARCEL_OTHER_CURRENCY: "La valeur du colis est donnée dans une autre monnaie que la limite.",
    R.PARCEL_VALUE_NOT_TOLD: "Il faut la valeur du colis.",
    R.PARCEL_NEEDS_SIGNATURE: "Ce colis doit être remis contre signature.",
    R.PARCEL_OF_OTHER_SELLER: "Le colis est vendu par un autre vendeur que le marchand lui-même.",
    R.PARCEL_DANGEROUS: "Le colis contient des marchandises dangereuses.",
    R.PARCEL_NOT_DECLARED: "Il faut dire qui vend le colis, s'il contient des marchandises dangereuses et s'il exige "
    "une signature.",
    R.VEHICLE_NOT_TOLD: "Il faut la marque de la voiture.",
    R.VEHICLE_MAKE_NOT_SERVED: "Les voitures de cette marque ne sont pas desservies.",
    R.VEHICLE_TOO_OLD: "La voiture est d'un millésime antérieur à ceux qui sont desservis.",
    R.VEHICLE_TOO_NEW: "La voiture est d'un millésime postérieur à ceux qui sont desservis.",
    R.VEHICLE_YEAR_NOT_TOLD: "Il faut le millésime de la voiture.",
    R.VEHICLE_SERVICE_MISSING: "Le service connecté de la voiture n'a pas d'abonnement actif.",
    R.VEHICLE_SERVICE_NOT_TOLD: "La voiture doit avoir un abonnement actif à son service connecté.",
    R.VEHICLE_NOT_CONNECTED: "Ce service ne peut pas encore ouvrir les voitures de cette marque.",
    R.VEHICLE_LOCK_NOT_READABLE: "La serrure de cette voiture ne peut pas être vue à distance, or le service l'exige.",
    R.VEHICLE_LOCK_NOT_TOLD: "Il faut le type du compte de la voiture, car certains ne montrent pas la serrure.",
    R.HOME_CAMERA_NOT_ENROLLED: "Aucune caméra de ce domicile n'a encore montré qu'elle voit la porte.",
    R.HOME_CAMERA_CHECK_OVERDUE: "Le contrôle mensuel de la caméra de ce domicile est en retard.",
    R.HOME_LOCK_TOO_WEAK: "Cette porte ne montre pas assez bien qu'elle est verrouillée : le service demande un "
    "détecteur d'ouverture avec la serrure.",
    R.VIN_NOT_WELL_FORMED: "Un numéro d'identification de véhicule a 17 lettres et chiffres, sans I, O ni Q.",
    R.VIN_CHECK_DIGIT_WRONG: "Ce numéro d'identification de véhicule contient une faute de frappe (clé de contrôle).",
    R.VIN_OF_OTHER_MAKE: "Ce numéro d'identification de véhicule est celui d'une voiture d'une autre marque.",
    R.VIN_OF_OTHER_YEAR: "Ce numéro d'identification de véhicule est celui d'une voiture d'un autre millésime.",
}
TEXTS: Mapping[Language, Mapping[Reason, str]] = {Language.ENGLISH: _ENGLISH, Language.FRENCH: _FRENCH}


def reason_text(reason: Reason, language: Language) -> str:
    """The sentence for this reason."""
    return TEXTS[language][reason]
