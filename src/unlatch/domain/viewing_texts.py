"""What the page on which a visit is watched says, in English and French.

*Live* is said of a picture that has just come, and of no other: whatever else is shown is called by its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from unlatch.domain.wording import Language

# By what is looked at: the word before the colon of `look.what`. English, French.
LOOKED_TEXTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "live": ("watched live", "a regardé en direct"),
        "live_ended": ("stopped watching", "a cessé de regarder"),
        "clip": ("watched the clip", "a regardé le clip"),
    }
)
# The page's own texts. {time} is filled in by the page, by the reader's own clock.
PAGE_TEXTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "title": ("Watch the delivery", "Regarder la livraison"),
        "live": ("Live", "En direct"),
        "not-live": ("Not live: picture from {time}", "Pas en direct : image de {time}"),
        "no-picture": ("Not live: no picture yet", "Pas en direct : pas encore d'image"),
        "doubted": (
            "Not live: the camera's picture can't be trusted. Last seen at {time}",
            "Pas en direct : l'image de la caméra n'est pas fiable. Vue pour la dernière fois à {time}",
        ),
        "over": (
            "The visit is over. The clip follows in a moment.",
            "La visite est terminée. Le clip suit dans un instant.",
        ),
        "waiting": ("No camera is filming now.", "Aucune caméra ne filme en ce moment."),
        "unsupported": (
            "This browser can't show live pictures.",
            "Ce navigateur ne peut pas afficher d'images en direct.",
        ),
        "refused": (
            "This link is not good any more. Open a new one in your app.",
            "Ce lien n'est plus valable. Ouvrez-en un nouveau dans votre application.",
        ),
        "offline": ("Connection lost. Trying again …", "Connexion perdue. Nouvel essai …"),
        "clips": ("Recordings", "Enregistrements"),
        "play": ("Play", "Lire"),
        "download": ("Download", "Télécharger"),
        "kept-until": ("kept until {time}", "conservé jusqu'au {time}"),
        "erased": ("erased on {time}", "effacé le {time}"),
        "damaged": (
            "This recording can't be played: a part of it is damaged.",
            "Cet enregistrement ne peut pas être lu : une partie en est endommagée.",
        ),
        "looks": ("Who has watched", "Qui a regardé"),
        "no-script": ("This page needs JavaScript.", "Cette page a besoin de JavaScript."),
    }
)


def looked_text(kind: str, language: Language) -> str:
    """What someone did who looked; a kind that has no text is named as it is."""
    english, french = LOOKED_TEXTS.get(kind, (kind, kind))
    return french if language is Language.FRENCH else english


def page_text(name: str, language: Language) -> str:
    """One of the page's texts."""
    english, french = PAGE_TEXTS[name]
    return french if language is Language.FRENCH else english
