"""What the page says on which a browser films for a camera. English, French."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from unlatch.domain.wording import Language

CAMERA_PAGE_TEXTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "title": ("This device films", "Cet appareil filme"),
        "intro": (
            "Put this phone where it sees the door, plug it in, and leave this page open.",
            "Posez ce téléphone là où il voit la porte, branchez-le et laissez cette page ouverte.",
        ),
        "privacy": (
            "It films only while a delivery needs it. The rest of the time the picture stays on this phone.",
            "Il ne filme que lorsqu'une livraison en a besoin. Le reste du temps, l'image reste sur ce téléphone.",
        ),
        "begin": ("Start the camera", "Démarrer la caméra"),
        "connecting": ("Connecting …", "Connexion …"),
        "ready": ("Ready. It does not film now.", "Prêt. Il ne filme pas en ce moment."),
        "filming": ("Filming now", "Filme en ce moment"),
        "lost": (
            "The connection is lost. It is tried again.",
            "La connexion est perdue. Nouvel essai en cours.",
        ),
        "slow": (
            "This network is too slow for the picture. It is tried again.",
            "Ce réseau est trop lent pour l'image. Nouvel essai en cours.",
        ),
        "denied": (
            "The camera may not be used. Allow it for this page in the browser's settings, then start again.",
            "La caméra n'est pas autorisée. Autorisez-la dans les réglages du navigateur, puis recommencez.",
        ),
        "no_camera": (
            "No camera was found on this device, or another app uses it.",
            "Aucune caméra n'a été trouvée sur cet appareil, ou une autre application l'utilise.",
        ),
        "cannot": (
            "This browser can't film as it is needed (H.264 in MP4). Take a recent Chrome, Edge or Safari.",
            "Ce navigateur ne sait pas filmer ainsi (H.264 en MP4). Prenez un Chrome, un Edge ou un Safari récent.",
        ),
        "insecure": (
            "A browser films only on a page that was opened by https.",
            "Un navigateur ne filme que sur une page ouverte en https.",
        ),
        "no_link": (
            "Open the link that you were given for this camera.",
            "Ouvrez le lien que vous avez reçu pour cette caméra.",
        ),
        "not_let_in": (
            "This link is used up, or another device films in place of this one. Ask for a new link.",
            "Ce lien a déjà servi, ou un autre appareil filme à la place de celui-ci. Demandez un nouveau lien.",
        ),
        "replaced": (
            "Another window films for this camera now. This one has stopped.",
            "Une autre fenêtre filme maintenant pour cette caméra. Celle-ci s'est arrêtée.",
        ),
        "full": (
            "There is no room just now. It is tried again.",
            "Il n'y a pas de place pour l'instant. Nouvel essai en cours.",
        ),
    }
)


def camera_page_texts(language: Language) -> dict[str, str]:
    """The texts in one language."""
    place = list(Language).index(language)
    return {name: texts[place] for name, texts in CAMERA_PAGE_TEXTS.items()}
