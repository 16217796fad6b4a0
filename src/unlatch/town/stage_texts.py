"""What the town's own page says, in both languages. Trusted HTML: nothing of it comes from outside."""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGES = ("en", "fr")  # the order of every pair below
Pair = tuple[str, str]

TEXTS: Mapping[str, Pair] = {
    "title": ("A small town, in your own hands", "Une petite ville, entre vos mains"),
    "intro": (
        "Choose a car, a home or a courier: you are the hands.",
        "Choisissez une voiture, une maison, un livreur : à vous les mains.",
    ),
    "town": ("Map of the town", "Plan de la ville"),
    "in_words": ("The map in words", "Le plan en toutes lettres"),
    "cars": ("Cars", "Voitures"),
    "homes": ("Homes", "Maisons"),
    "couriers": ("Couriers", "Livreurs"),
    "chosen": ("Your hands at", "Vos mains sur"),
    "guide": ("What to do", "Que faire"),
    "make_hard": ("Make it hard", "Rendre cela difficile"),
    "camera_faults": ("Its camera: one thing at a time", "Sa caméra : une chose à la fois"),
    "label": ("The parcel's number:", "Le numéro du colis :"),
    "another": ("Another parcel", "Un autre colis"),
    "to_car": ("into her car", "dans sa voiture"),
    "to_home": ("to her home", "chez elle"),
    "home_not_yet": (
        "Her home takes parcels once its camera has shown that it sees the door; that takes a minute.",
        "Sa maison reçoit des colis dès que sa caméra a montré qu'elle voit la porte ; cela prend une minute.",
    ),
    "courier": ("The courier's phone", "Le téléphone du livreur"),
    "consignee": ("The customer's phone", "Le téléphone de la cliente"),
    "operator": ("The operator's desk", "Le bureau de l'opérateur"),
    "lost": ("The town does not answer.", "La ville ne répond pas."),
    "other": ("Français", "English"),
    "other_code": ("fr", "en"),
}
# What hands can do: the last part of the path. Those that are pressed most come first.
CAR_HANDS: Mapping[str, Pair] = {
    "open-trunk": ("Open the trunk", "Ouvrir le coffre"),
    "close-trunk": ("Close the trunk", "Fermer le coffre"),
    "drive": ("Drive off", "Partir en voiture"),
    "park": ("Park again", "Se garer à nouveau"),
}
HOME_HANDS: Mapping[str, Pair] = {
    "open-door": ("Open the door", "Ouvrir la porte"),
    "close-door": ("Close the door", "Fermer la porte"),
    "ring": ("Ring", "Sonner"),
    "key-lock": ("Lock it from inside", "Verrouiller de l'intérieur"),
    "wifi-down": ("Cut its Wi-Fi", "Couper son Wi-Fi"),
    "wifi-up": ("Bring the Wi-Fi back", "Rétablir le Wi-Fi"),
}
ERRANDS: Mapping[str, Pair] = {
    "to-car": ("Send to her car", "Envoyer à sa voiture"),
    "to-home": ("Send to her home", "Envoyer chez elle"),
    "on": ("Go on with the round", "Reprendre la tournée"),
}
# Every fault of a car, a home and a camera, as the town's control API names it.
_OF_BOTH: Mapping[str, Pair] = {
    "jammed": ("the lock is jammed", "la serrure est bloquée"),
    "offline": ("no reception", "pas de réseau"),
    "slow": ("commands take a minute and a half", "les commandes prennent une minute et demie"),
    "silent": ("commands are never answered", "les commandes restent sans réponse"),
    "says_done_but_nothing_moved": ("done is said, and nothing moves", "on dit fait, et rien ne bouge"),
    "says_failed_but_it_moved": ("failed is said, and it moves", "on dit échoué, et ça bouge"),
    "late_unlock": ("unlocks two minutes too late", "déverrouille deux minutes trop tard"),
    "rate_limit": ("too many requests, it says", "trop de requêtes, dit-on"),
    "duplicate_answers": ("old answers come again", "d'anciennes réponses reviennent"),
    "connection_cut": ("the connection is cut", "la connexion est coupée"),
}
CAR_FAULTS: Mapping[str, Pair] = {
    **_OF_BOTH,
    "will_not_close": ("the lid springs open", "le hayon se rouvre"),
    "asleep": ("the car sleeps", "la voiture dort"),
    "drives_off": ("it is driven off", "elle démarre et part"),
    "outage": ("the maker's cloud is down", "le cloud du constructeur est en panne"),
    "consent_withdrawn": ("the owner takes the consent back", "la propriétaire retire son accord"),
    "subscription_lapsed": ("the subscription has lapsed", "l'abonnement a expiré"),
}
HOME_FAULTS: Mapping[str, Pair] = {
    **_OF_BOTH,
    "will_not_close": ("the door springs open", "la porte se rouvre"),
    "outage": ("the hub answers with errors", "la centrale répond par des erreurs"),
    "hub_gone": ("the hub is dead", "la centrale est morte"),
    "lying_state": ("the hub shows an old state", "la centrale montre un ancien état"),
    "answers_at_once": ("the hub says done before it is", "la centrale dit fait avant de l'avoir fait"),
    "consent_withdrawn": ("the household takes the consent back", "le foyer retire son accord"),
}
CAMERA_FAULTS: Mapping[str, Pair] = {
    "off": ("its plug is pulled", "elle est débranchée"),
    "freeze": ("one picture for ever", "une seule image, toujours"),
    "loop": ("the last seconds again and again", "les dernières secondes en boucle"),
    "stall": ("no picture comes any more", "plus aucune image ne vient"),
    "drop": ("the stream is cut", "le flux est coupé"),
    "late": ("it lags", "elle est en retard"),
    "clock_shift": ("its clock is wrong", "son horloge est fausse"),
    "light_change": ("the hall is dark", "l'entrée est sombre"),
}
# What the page's JavaScript says. Where a number decides, the name ends with the category of CLDR.
_WORDS: Mapping[str, Pair] = {
    "car_one": ("{n} car", "{n} voiture"),
    "car_other": ("{n} cars", "{n} voitures"),
    "driving_one": ("{n} of them driving", "dont {n} en route"),
    "driving_other": ("{n} of them driving", "dont {n} en route"),
    "home_one": ("{n} home", "{n} maison"),
    "home_other": ("{n} homes", "{n} maisons"),
    "camera_one": ("{n} camera", "{n} caméra"),
    "camera_other": ("{n} cameras", "{n} caméras"),
    "courier_one": ("{n} courier", "{n} livreur"),
    "courier_other": ("{n} couriers", "{n} livreurs"),
    "fault_one": ("{n} fault", "{n} panne"),
    "fault_other": ("{n} faults", "{n} pannes"),
    "cars": TEXTS["cars"],
    "homes": TEXTS["homes"],
    "couriers": TEXTS["couriers"],
    "is_driving": ("driving", "en route"),
    "is_parked": ("parked", "garée"),
    "cars_open": ("trunk open", "coffre ouvert"),
    "cars_shut": ("trunk closed", "coffre fermé"),
    "cars_locked": ("locked", "verrouillé"),
    "cars_unlocked": ("unlocked", "déverrouillé"),
    "homes_open": ("door open", "porte ouverte"),
    "homes_shut": ("door closed", "porte fermée"),
    "homes_locked": ("locked", "verrouillée"),
    "homes_unlocked": ("unlocked", "déverrouillée"),
    "camera_none": ("no camera", "sans caméra"),
    "camera_idle": ("camera at rest", "caméra au repos"),
    "camera_watched": ("camera connected", "caméra connectée"),
    "camera_broken": ("camera faulty", "caméra en panne"),
    "camera_unreached": ("camera without network", "caméra sans réseau"),
    "courier_on": ("on their round", "en tournée"),
    "courier_under_way": ("on the way to the stop", "en chemin vers l'arrêt"),
    "courier_there": ("at the stop", "sur place"),
    "for_cars": ("for her car", "pour sa voiture"),
    "for_homes": ("for her home", "pour sa maison"),
    "said": ("{name}: {said}", "{name} : {said}"),
    "could_not": ("That can't be done now:", "Impossible en ce moment :"),
    "is_locked": ("it is locked", "c'est verrouillé"),
    "lid_open": ("it is open", "c'est ouvert"),
    "jammed": ("the lock is jammed", "la serrure est bloquée"),
    "will_not_close": ("it does not stay closed", "ça ne reste pas fermé"),
    "in_motion": ("it is driving", "elle roule"),
    "unsupported": ("there is nothing to do that with", "rien ne le permet ici"),
}


def choose(pairs: Mapping[str, Pair], language: str) -> dict[str, str]:
    """Those of one language."""
    return {name: pair[LANGUAGES.index(language)] for name, pair in pairs.items()}


WORDS: Mapping[str, Mapping[str, str]] = {language: choose(_WORDS, language) for language in LANGUAGES}
# In order: what the page can see for itself moves the guide on.
CAR_STEPS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "en": {
        "scan": (
            "Scan the parcel.",
            (
                "On the courier's phone: enrol it, take the stop; once Bo stands at the car on the map, say that you "
                "are there and type the parcel's number. On the two others press Go on: the customer sees it come."
            ),
        ),
        "open": (
            "Open the trunk.",
            (
                "The platform checked courier, parcel, place and moment, and unlocked through the maker's cloud. "
                "Nobody holds a key. Choose the car, and lift the lid with your hands."
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
            "The customer's phone has the story to the second, and the proof. Book another parcel, and make it hard.",
        ),
    },
    "fr": {
        "scan": (
            "Scannez le colis.",
            (
                "Sur le téléphone du livreur : inscrivez-le, prenez l'arrêt ; dès que Bo est à la voiture sur le plan, "
                "dites que vous y êtes et saisissez le numéro du colis. Sur les deux autres, appuyez sur Continuer : "
                "la cliente le voit venir."
            ),
        ),
        "open": (
            "Ouvrez le coffre.",
            (
                "La plateforme a vérifié livreur, colis, lieu et moment, et a déverrouillé par le cloud du "
                "constructeur. Personne n'a de clé. Choisissez la voiture, et levez le hayon de vos mains."
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
            "Le téléphone de la cliente a toute l'histoire, et la preuve. Envoyez un autre colis, en plus difficile.",
        ),
    },
}
HOME_STEPS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "en": {
        "scan": (
            "Scan, and ring.",
            (
                "On the courier's phone: take the stop, say that you are there, type the parcel's number. Ring with "
                "your hands, say so, and wait: nobody comes."
            ),
        ),
        "open": (
            "Open the door.",
            "The camera in the hall proved that it records; only then was the lock asked. Open with your hands.",
        ),
        "put": (
            "Put the parcel in, and close.",
            "Say on the phone that it is inside, close the door with your hands, and say so.",
        ),
        "locked": (
            "Wait until it is seen locked.",
            "The platform locks, and believes it only when the lock itself shows it.",
        ),
        "done": (
            "Delivered.",
            "The customer can watch the clip. Book another parcel, and break the camera while the door is open.",
        ),
    },
    "fr": {
        "scan": (
            "Scannez, et sonnez.",
            (
                "Sur le téléphone du livreur : prenez l'arrêt, dites que vous y êtes, saisissez le numéro du colis. "
                "Sonnez de vos mains, dites-le, et attendez : personne ne vient."
            ),
        ),
        "open": (
            "Ouvrez la porte.",
            (
                "La caméra de l'entrée a prouvé qu'elle enregistre ; la serrure n'a été sollicitée qu'ensuite. "
                "Ouvrez de vos mains."
            ),
        ),
        "put": (
            "Déposez le colis, et fermez.",
            "Dites au téléphone qu'il est à l'intérieur, fermez la porte de vos mains, et dites-le.",
        ),
        "locked": (
            "Attendez que ce soit vu verrouillé.",
            "La plateforme verrouille, et ne le croit que lorsque la serrure le montre.",
        ),
        "done": (
            "Livré.",
            "La cliente peut voir le clip. Envoyez un autre colis, et cassez la caméra tant que la porte est ouverte.",
        ),
    },
}
