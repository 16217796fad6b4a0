"""Lines of a visit's journal that are no facts: they move nothing, and tell what else happened. See `domain/proof.py`.

Each has a text for each reader, as facts have. A home's household reads of its own camera as such; nobody else is told
more of it than that it recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from types import MappingProxyType

from unlatch.domain.wording import Language, Reader


class Note(StrEnum):
    """The name of such a line."""

    SCANNED = auto()
    RECORDING_BEGUN = auto()  # a take of a camera
    RECORDING_LINK = auto()  # the chain of its parts, every two seconds
    RECORDING_GAP_BEGUN = auto()
    RECORDING_GAP_ENDED = auto()
    PICTURE_DOUBTED = auto()  # what the last two seconds of the picture say has changed
    RECORDING_BACK = auto()  # after a loss that the visit was told of
    CLIP_KEPT = auto()
    CLIP_FAILED = auto()
    CLIP_ERASED = auto()
    TAKES_ERASED = auto()  # what was recorded and is no clip
    CLIP_HOLD_BEGUN = auto()
    CLIP_HOLD_ENDED = auto()
    CLIP_PASS_GIVEN = auto()
    CLIP_PASS_ENDED = auto()
    CLIP_GLASS_BROKEN = auto()


N = Note

# Courier, consignee, operator.
_ENGLISH: Mapping[Note, tuple[str, str, str]] = {
    N.SCANNED: (
        "You scanned the label",
        "The courier scanned the label of your parcel",
        "The courier scanned a label",
    ),
    N.RECORDING_BEGUN: (
        "The camera records",
        "Your camera began to record",
        "A take of the camera's recording began",
    ),
    N.RECORDING_LINK: (
        "The recording goes on",
        "The recording goes on: its seal so far stands here",
        "The chain of the recording, so far",
    ),
    N.RECORDING_GAP_BEGUN: (
        "The camera is not heard",
        "Your camera is not heard: a gap in the recording began",
        "A gap in the recording began",
    ),
    N.RECORDING_GAP_ENDED: (
        "The camera is heard again",
        "Your camera is heard again: the gap in the recording ended",
        "The gap in the recording ended",
    ),
    N.PICTURE_DOUBTED: (
        "The camera's picture was judged anew",
        "Whether your camera's picture lives was judged anew",
        "The verdict on the camera's picture changed",
    ),
    N.RECORDING_BACK: (
        "The recording is back",
        "The recording is back, after it was lost",
        "The recording is back; the visit stays unclean",
    ),
    N.CLIP_KEPT: (
        "The recording was kept",
        "The recording was kept as a clip, encrypted: you can watch it",
        "A clip was made of the recording and kept, encrypted",
    ),
    N.CLIP_FAILED: (
        "The recording could not be kept",
        "The recording could not be made into a clip: our staff look into it",
        "No clip could be made of the recording: a person has to look",
    ),
    N.CLIP_ERASED: (
        "The recording was erased",
        "The clip was erased: its key is destroyed",
        "The clip was erased: its key is destroyed",
    ),
    N.TAKES_ERASED: (
        "The recording was erased",
        "The recording was erased before a clip was made of it",
        "The recording was erased; its recorder removes what it left",
    ),
    N.CLIP_HOLD_BEGUN: (
        "The recording is kept for longer",
        "The operator keeps the recording for longer; the reason stands beside it",
        "The recording is held beyond its time",
    ),
    N.CLIP_HOLD_ENDED: (
        "The recording is no longer kept for longer",
        "The operator no longer keeps the recording for longer",
        "The hold on the recording was released",
    ),
    N.CLIP_PASS_GIVEN: (
        "The household lets someone see the recording",
        "You let someone outside the household see the recording, for a time",
        "The owner lets the recording be seen, for a time",
    ),
    N.CLIP_PASS_ENDED: (
        "Someone may see the recording no more",
        "The permission to see the recording has ended",
        "The permission to see the recording has ended",
    ),
    N.CLIP_GLASS_BROKEN: (
        "The operator may see the recording for half an hour",
        "Someone who works for the operator may see the recording for half an hour, unasked",
        "The glass was broken: one operator may see the recording for half an hour",
    ),
}
_FRENCH: Mapping[Note, tuple[str, str, str]] = {
    N.SCANNED: (
        "Vous avez scanné l'étiquette",
        "Le livreur a scanné l'étiquette de votre colis",
        "Le livreur a scanné une étiquette",
    ),
    N.RECORDING_BEGUN: (
        "La caméra enregistre",
        "Votre caméra a commencé à enregistrer",
        "Une prise de l'enregistrement a commencé",
    ),
    N.RECORDING_LINK: (
        "L'enregistrement continue",
        "L'enregistrement continue : son sceau jusqu'ici est inscrit",
        "La chaîne de l'enregistrement, jusqu'ici",
    ),
    N.RECORDING_GAP_BEGUN: (
        "La caméra n'est plus entendue",
        "Votre caméra n'est plus entendue : une lacune de l'enregistrement commence",
        "Une lacune de l'enregistrement commence",
    ),
    N.RECORDING_GAP_ENDED: (
        "La caméra est de nouveau entendue",
        "Votre caméra est de nouveau entendue : la lacune est terminée",
        "La lacune de l'enregistrement est terminée",
    ),
    N.PICTURE_DOUBTED: (
        "L'image de la caméra a été jugée à nouveau",
        "Il a été jugé à nouveau si l'image de votre caméra est en direct",
        "Le verdict sur l'image de la caméra a changé",
    ),
    N.RECORDING_BACK: (
        "L'enregistrement est rétabli",
        "L'enregistrement est rétabli, après avoir été perdu",
        "L'enregistrement est rétabli ; la visite reste entachée",
    ),
    N.CLIP_KEPT: (
        "L'enregistrement est conservé",
        "L'enregistrement est conservé en clip chiffré : vous pouvez le regarder",
        "Un clip de l'enregistrement est conservé, chiffré",
    ),
    N.CLIP_FAILED: (
        "L'enregistrement n'a pas pu être conservé",
        "L'enregistrement n'a pas pu devenir un clip : nos équipes s'en occupent",
        "Aucun clip n'a pu être fait de l'enregistrement : une personne doit regarder",
    ),
    N.CLIP_ERASED: (
        "L'enregistrement a été effacé",
        "Le clip a été effacé : sa clé est détruite",
        "Le clip a été effacé : sa clé est détruite",
    ),
    N.TAKES_ERASED: (
        "L'enregistrement a été effacé",
        "L'enregistrement a été effacé avant qu'un clip n'en soit fait",
        "L'enregistrement a été effacé ; son enregistreur supprime ce qu'il en reste",
    ),
    N.CLIP_HOLD_BEGUN: (
        "L'enregistrement est conservé plus longtemps",
        "L'exploitant conserve l'enregistrement plus longtemps ; la raison figure à côté",
        "L'enregistrement est retenu au-delà de son terme",
    ),
    N.CLIP_HOLD_ENDED: (
        "L'enregistrement n'est plus conservé plus longtemps",
        "L'exploitant ne conserve plus l'enregistrement plus longtemps",
        "L'enregistrement n'est plus retenu",
    ),
    N.CLIP_PASS_GIVEN: (
        "Le foyer laisse voir l'enregistrement",
        "Vous laissez voir l'enregistrement hors du foyer, pour un temps",
        "Le propriétaire laisse voir l'enregistrement, pour un temps",
    ),
    N.CLIP_PASS_ENDED: (
        "L'enregistrement ne peut plus être vu",
        "L'autorisation de voir l'enregistrement a pris fin",
        "L'autorisation de voir l'enregistrement a expiré ou a été retirée",
    ),
    N.CLIP_GLASS_BROKEN: (
        "L'exploitant peut voir l'enregistrement pendant une demi-heure",
        "Une personne de l'exploitant peut voir l'enregistrement une demi-heure, sans votre accord",
        "La vitre a été brisée : un exploitant peut voir l'enregistrement une demi-heure",
    ),
}
NOTE_TEXTS: Mapping[Language, Mapping[Note, tuple[str, str, str]]] = MappingProxyType(
    {Language.ENGLISH: _ENGLISH, Language.FRENCH: _FRENCH}
)
_READERS = tuple(Reader)


def note_text(name: str, reader: Reader, language: Language) -> str | None:
    """What this reader reads for a line of that name; None: it is no note of this release."""
    try:
        note = Note(name)
    except ValueError:
        return None
    return NOTE_TEXTS[language][note][_READERS.index(reader)]
