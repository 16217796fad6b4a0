"""What the town's own page says, in both languages. Trusted HTML: nothing of it comes from outside."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "One delivery, by your own hands",
        "intro": "A courier's phone, a customer's phone, the operator's desk, and the car that they are all about.",
        "the_car": "The car",
        "guide": "What to do",
        "hands": "Your hands",
        "open": "Open the trunk",
        "close": "Close the trunk",
        "drive": "Drive off",
        "park": "Park again",
        "faults": "Make it hard",
        "jammed": "the lock is jammed",
        "will_not_close": "the lid springs open",
        "asleep": "the car sleeps",
        "outage": "the maker's cloud is down",
        "says_done": "the cloud says done, and nothing moves",
        "label": "The parcel's number",
        "courier": "The courier's phone",
        "consignee": "The customer's phone",
        "operator": "The operator's desk",
        "locked": "locked",
        "unlocked": "unlocked",
        "lid_open": "open",
        "lid_shut": "closed",
        "driving": "driving",
        "lost": "The town does not answer.",
        "other": "Français",
        "other_code": "fr",
        "could_not": "That can't be done now:",
    },
    "fr": {
        "title": "Une livraison, de vos propres mains",
        "intro": "Le téléphone du livreur, celui de la cliente, le bureau de l'opérateur, et la voiture.",
        "the_car": "La voiture",
        "guide": "Que faire",
        "hands": "Vos mains",
        "open": "Ouvrir le coffre",
        "close": "Fermer le coffre",
        "drive": "Partir en voiture",
        "park": "Se garer à nouveau",
        "faults": "Rendre cela difficile",
        "jammed": "la serrure est bloquée",
        "will_not_close": "le hayon se rouvre",
        "asleep": "la voiture dort",
        "outage": "le cloud du constructeur est en panne",
        "says_done": "le cloud dit fait, et rien ne bouge",
        "label": "Le numéro du colis",
        "courier": "Le téléphone du livreur",
        "consignee": "Le téléphone de la cliente",
        "operator": "Le bureau de l'opérateur",
        "locked": "verrouillé",
        "unlocked": "déverrouillé",
        "lid_open": "ouvert",
        "lid_shut": "fermé",
        "driving": "en route",
        "lost": "La ville ne répond pas.",
        "other": "English",
        "other_code": "en",
        "could_not": "Impossible en ce moment :",
    },
}
# In order: what the page can see for itself moves the guide on.
STEPS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "en": {
        "scan": (
            "Scan the parcel.",
            (
                "On the courier's phone: enrol it, take the stop, say that you are there, type the parcel's number. "
                "On the two others press Go on: the customer sees it come."
            ),
        ),
        "open": (
            "Open the trunk.",
            (
                "The platform checked courier, parcel, place and moment, and unlocked through the maker's cloud. "
                "Nobody holds a key. Lift the lid with your hands, here below the car."
            ),
        ),
        "put": (
            "Put the parcel in, and close.",
            "Say on the phone that it is inside, close the trunk with your hands, and say so.",
        ),
        "locked": (
            "Wait until it is seen locked.",
            "The platform locks, and believes it only when the car itself shows it. Until then the courier stays.",
        ),
        "done": (
            "Delivered.",
            "The customer's phone has the story to the second, and the proof. Start the demo anew, and make it hard.",
        ),
    },
    "fr": {
        "scan": (
            "Scannez le colis.",
            (
                "Sur le téléphone du livreur : inscrivez-le, prenez l'arrêt, dites que vous y êtes, saisissez le "
                "numéro du colis. Sur les deux autres, appuyez sur Continuer : la cliente le voit venir."
            ),
        ),
        "open": (
            "Ouvrez le coffre.",
            (
                "La plateforme a vérifié livreur, colis, lieu et moment, et a déverrouillé par le cloud du "
                "constructeur. Personne n'a de clé. Levez le hayon de vos mains, ici sous la voiture."
            ),
        ),
        "put": (
            "Déposez le colis, et fermez.",
            "Dites au téléphone qu'il est à l'intérieur, fermez le coffre de vos mains, et dites-le.",
        ),
        "locked": (
            "Attendez qu'il soit vu verrouillé.",
            "La plateforme verrouille, et ne le croit que lorsque la voiture le montre. Le livreur reste jusque-là.",
        ),
        "done": (
            "Livré.",
            "Le téléphone de la cliente a toute l'histoire, et la preuve. Relancez la démo, et rendez-la difficile.",
        ),
    },
}
