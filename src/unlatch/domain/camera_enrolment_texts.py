"""What the household reads while it enrols a camera, in English and French: what to do now, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping

from unlatch.domain.camera_enrolment import EnrolmentEnd, EnrolmentStep, Hindrance, Phase, StepState
from unlatch.domain.wording import Language

S, T, H = EnrolmentStep, StepState, Hindrance
Pair = tuple[str, str]  # English, French

# What comes next, by its step, and whether it waits for the household or for us.
NEXT_TEXTS: Mapping[tuple[EnrolmentStep, bool], Pair] = {
    (S.PICTURE, True): (
        "Begin again: the camera was not reached.",
        "Recommencez : la caméra n'a pas été jointe.",
    ),
    (S.PICTURE, False): (
        "We connect to the camera. This takes a quarter of a minute.",
        "Nous nous connectons à la caméra. Cela prend un quart de minute.",
    ),
    (S.CLOCK, True): (
        (
            "Mark the time in the picture, as closely as you can: hours, minutes and seconds. If the picture shows no "
            "time, turn it on in the camera, or say that there is none."
        ),
        (
            "Entourez l'heure dans l'image, au plus près : heures, minutes et secondes. Si l'image n'en affiche pas, "
            "activez-la dans la caméra, ou indiquez qu'il n'y en a pas."
        ),
    ),
    (S.CLOCK, False): (
        "We learn to read the time. Leave the camera as it is for half a minute.",
        "Nous apprenons à lire l'heure. Ne touchez pas à la caméra pendant une demi-minute.",
    ),
    (S.LIGHT, True): (
        "Turn the other lights down, and let us play the lamp: it goes on and off for some seconds.",
        "Baissez les autres lumières et laissez-nous piloter la lampe : elle s'allume et s'éteint quelques secondes.",
    ),
    (S.LIGHT, False): (
        "The lamp plays a pattern, and we look for it in the picture.",
        "La lampe joue un motif, et nous le cherchons dans l'image.",
    ),
    (S.DOOR, True): (
        "Close the door, and say when you are ready: you will open it once and close it again.",
        "Fermez la porte et dites quand vous êtes prêt : vous l'ouvrirez une fois, puis la refermerez.",
    ),
    (S.DOOR, False): (
        "We look at the door.",
        "Nous observons la porte.",
    ),
}
NO_WAY: Pair = (  # so far: it shows no clock, no lamp is ours to play, and nothing moves
    (
        "Nothing in this picture shows that it lives. Turn the time on in the camera and mark it, or name a lamp in "
        "the link of your hub."
    ),
    (
        "Rien dans cette image ne montre qu'elle est en direct. Affichez l'heure dans la caméra et entourez-la, ou "
        "indiquez une lampe dans la liaison de votre centrale."
    ),
)
PHASE_TEXTS: Mapping[Phase, Pair] = {
    Phase.KEEP_CLOSED: (
        "Keep the door closed for a moment, and stay out of the picture.",
        "Gardez la porte fermée un instant, et restez hors de l'image.",
    ),
    Phase.OPEN_IT: (
        "Now open the door wide, and leave it open.",
        "Ouvrez maintenant la porte en grand, et laissez-la ouverte.",
    ),
    Phase.CLOSE_IT: (
        "Leave it open for five seconds, then close it.",
        "Laissez-la ouverte cinq secondes, puis fermez-la.",
    ),
    Phase.STEP_AWAY: (
        "Step out of the picture: we compare what was seen.",
        "Sortez de l'image : nous comparons ce qui a été vu.",
    ),
}
END_TEXTS: Mapping[EnrolmentEnd, Pair] = {
    EnrolmentEnd.ENROLLED: (
        "This camera is enrolled. It is to be checked again within a month.",
        "Cette caméra est enregistrée. Elle sera à vérifier de nouveau dans un mois.",
    ),
    EnrolmentEnd.EXPIRED: (
        "The time for this was over: begin again.",
        "Le temps imparti est écoulé : recommencez.",
    ),
    EnrolmentEnd.GIVEN_UP: (
        "This camera was removed.",
        "Cette caméra a été retirée.",
    ),
}
STATE_TEXTS: Mapping[StepState, Pair] = {
    T.WAITING: ("Waits for you", "Vous attend"),
    T.UNDER_WAY: ("Under way", "En cours"),
    T.PASSED: ("Done", "Fait"),
    T.FAILED: ("Not yet", "Pas encore"),
    T.NOT_THERE: ("Not there", "Absent"),
}
HINDRANCE_TEXTS: Mapping[Hindrance, Pair] = {
    H.CAMERA_NOT_FOUND: (
        "Nothing answers at the camera's address. See that it is plugged in and that the address is right.",
        "Rien ne répond à l'adresse de la caméra. Vérifiez qu'elle est branchée et que l'adresse est juste.",
    ),
    H.CAMERA_NOT_LET_IN: (
        "The camera does not take this user and password. Remove it here, and add it with the right ones.",
        "La caméra refuse cet identifiant ou ce mot de passe. Retirez-la ici, puis ajoutez-la avec les bons.",
    ),
    H.CAMERA_SILENT: (
        "The camera's stream ends or brings no picture. Start the camera anew, and bring it nearer to its network.",
        "Le flux de la caméra s'arrête ou n'apporte pas d'image. Redémarrez la caméra, et rapprochez-la de son réseau.",
    ),
    H.CAMERA_NO_VIDEO: (
        "The camera sends no video that can be kept. Set it to H.264.",
        "La caméra n'envoie pas de vidéo qui puisse être conservée. Réglez-la sur H.264.",
    ),
    H.CAMERA_TOO_LARGE: (
        "The camera's picture is too large. Set it to at most 1920 by 1080.",
        "L'image de la caméra est trop grande. Réglez-la sur 1920 par 1080 au plus.",
    ),
    H.NO_RECORDER: (
        "We have no recorder free for this camera just now. Begin again in some minutes.",
        "Aucun enregistreur n'est libre pour cette caméra. Recommencez dans quelques minutes.",
    ),
    H.PICTURE_LOST: (
        "The picture was lost meanwhile. See that the camera stays connected, and try again.",
        "L'image a été perdue entre-temps. Vérifiez que la caméra reste connectée, et réessayez.",
    ),
    H.PICTURE_NOT_LIVE: (
        "The picture stands still or repeats itself. Start the camera anew, and begin again.",
        "L'image est figée ou se répète. Redémarrez la caméra, et recommencez.",
    ),
    H.CLOCK_NO_WRITING: (
        "There is no writing where you marked the time. Mark all of HH:MM:SS, from the first digit to the last.",
        "Il n'y a rien d'écrit à l'endroit entouré. Entourez HH:MM:SS en entier, du premier au dernier chiffre.",
    ),
    H.CLOCK_NOT_TICKING: (
        "What you marked does not count the seconds. Mark the time alone, without the date, with its seconds.",
        "Ce que vous avez entouré ne compte pas les secondes. Entourez l'heure seule, sans la date, avec ses secondes.",
    ),
    H.CLOCK_NOT_READ: (
        "The digits can't be told apart for sure. Choose larger or plainer digits in the camera, and mark them again.",
        (
            "Les chiffres ne se distinguent pas sûrement. Choisissez-les plus grands ou plus simples dans la caméra, "
            "puis entourez-les de nouveau."
        ),
    ),
    H.CLOCK_WRONG: (
        "The camera's clock is wrong by more than five seconds. Have it set itself by the network (NTP).",
        "L'horloge de la caméra est fausse de plus de cinq secondes. Réglez-la par le réseau (NTP).",
    ),
    H.CLOCK_MARK_OUT_OF_SIZE: (
        "What you marked is too small or too large for HH:MM:SS. Mark the time alone, from edge to edge.",
        "Ce que vous avez entouré est trop petit ou trop grand pour HH:MM:SS. Entourez l'heure seule, bord à bord.",
    ),
    H.LIGHT_NOT_REACHED: (
        "The lamp could not be played. See that your hub reaches it, and try again.",
        "La lampe n'a pas pu être pilotée. Vérifiez que votre centrale la joint, et réessayez.",
    ),
    H.LIGHT_NOT_SEEN: (
        (
            "The lamp's pattern was not seen in the picture. Choose a lamp that lights what the camera sees, without a "
            "slow fade, and turn other lights down."
        ),
        (
            "Le motif de la lampe n'a pas été vu dans l'image. Choisissez une lampe qui éclaire ce que voit la caméra, "
            "sans fondu lent, et baissez les autres lumières."
        ),
    ),
    H.DOOR_NOT_READ: (
        "Your hub did not tell how the door stands. See that it reaches the lock and the contact sensor.",
        "Votre centrale n'a pas indiqué l'état de la porte. Vérifiez qu'elle joint la serrure et le capteur.",
    ),
    H.DOOR_OPEN_ALREADY: (
        "The door stands open, or is not locked: close and lock it first, then say again that you are ready.",
        (
            "La porte est ouverte, ou n'est pas verrouillée : fermez-la et verrouillez-la, puis dites de nouveau que "
            "vous êtes prêt."
        ),
    ),
    H.DOOR_NOT_OPENED: (
        "The door was not opened in time. Say again when you are ready.",
        "La porte n'a pas été ouverte à temps. Dites de nouveau quand vous êtes prêt.",
    ),
    H.DOOR_NOT_CLOSED: (
        "The door was not closed in time. Close it, and say again when you are ready.",
        "La porte n'a pas été fermée à temps. Fermez-la, et dites de nouveau quand vous êtes prêt.",
    ),
    H.DOOR_OPEN_TOO_SHORT: (
        "The door was open for too short a time. Leave it open for five seconds.",
        "La porte est restée ouverte trop peu de temps. Laissez-la ouverte cinq secondes.",
    ),
    H.DOOR_NOT_SEEN: (
        (
            "The picture did not change with the door. Turn the camera so that it sees the whole door, and stay out of "
            "the picture."
        ),
        (
            "L'image n'a pas changé avec la porte. Tournez la caméra pour qu'elle voie toute la porte, et restez hors "
            "de l'image."
        ),
    ),
    H.DOOR_AT_ANOTHER_TIME: (
        "The picture changed, but not when the door did. Stay out of the picture, and try again.",
        "L'image a changé, mais pas au moment de la porte. Restez hors de l'image, et réessayez.",
    ),
    H.BROKEN: (
        "Something of ours went wrong. Try again.",
        "Une erreur de notre côté s'est produite. Réessayez.",
    ),
}


def _in(pair: Pair, language: Language) -> str:
    english, french = pair
    return french if language is Language.FRENCH else english


def next_text(step: EnrolmentStep, state: StepState, phase: Phase | None, language: Language) -> str:
    """What the household does now, or waits for."""
    if phase is not None and state is StepState.UNDER_WAY:
        return _in(PHASE_TEXTS[phase], language)
    if step is EnrolmentStep.CLOCK and state is StepState.NOT_THERE:
        return _in(NO_WAY, language)
    return _in(NEXT_TEXTS[step, state is not StepState.UNDER_WAY], language)


def end_text(end: EnrolmentEnd, language: Language) -> str:
    """How it has ended."""
    return _in(END_TEXTS[end], language)


def state_text(state: StepState, language: Language) -> str:
    """How one step stands."""
    return _in(STATE_TEXTS[state], language)


def hindrance_text(hindrance: Hindrance, language: Language) -> str:
    """Why a step has failed, and what to do about it."""
    return _in(HINDRANCE_TEXTS[hindrance], language)
