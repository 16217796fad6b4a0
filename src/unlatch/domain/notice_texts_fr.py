"""Les avis en français. Voir `notice_texts.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from unlatch.domain.access import Fallback
from unlatch.domain.notice import NoticeEvent, NoticeReader
from unlatch.domain.notice_phrases import Phrases, Template, template

E, R = NoticeEvent, NoticeReader

DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
    "décembre",
)  # fmt: skip
_PARK = (
    "Veuillez garer votre voiture à moins de {range_m} m de votre adresse, à l'air libre et au niveau de la rue.",
    "Veuillez garer votre voiture près de votre adresse, à l'air libre et au niveau de la rue.",
)
_MIND_HOME = (
    "Veuillez retirer le second verrou, désactiver l'alarme, éloigner les animaux de la porte et laisser la caméra "
    "allumée."
)
_KEEP_HOME = (
    "Veuillez ne toucher ni au verrou ni à l'alarme et garder les animaux loin de la porte, tant que le colis n'est "
    "pas à l'intérieur."
)
_FALLBACK = "Le colis {fallback_goes}."
_SAID_NOT_SEEN = (
    "le service du constructeur indique que c'est verrouillé et le livreur a tiré sur la poignée ; "
    "le verrouillage lui-même n'a pas été constaté"
)


def _say_hour(at: datetime, *, is_exact: bool = False) -> str:
    """Comme "16 h", "16 h 30", "16 h 30 min 05 s"; avec le nom du fuseau à l'heure qui revient deux fois."""
    if is_exact:
        clock = f"{at.hour} h {at:%M} min {at:%S} s"
    else:
        clock = f"{at.hour} h {at:%M}" if at.minute else f"{at.hour} h"
    comes_twice = at.replace(fold=0).utcoffset() != at.replace(fold=1).utcoffset()
    return f"{clock} ({at.tzname()})" if comes_twice else clock


def _say_day(at: datetime) -> str:
    return f"{DAYS[at.weekday()]} {'1er' if at.day == 1 else at.day} {MONTHS[at.month - 1]}"


def say_window(begins: datetime, ends: datetime) -> str:
    """As in "jeudi 26 novembre, de 16 h à 20 h"."""
    if begins.date() == ends.date():
        return f"{_say_day(begins)}, de {_say_hour(begins)} à {_say_hour(ends)}"
    return f"de {_say_day(begins)}, {_say_hour(begins)}, à {_say_day(ends)}, {_say_hour(ends)}"


def say_moment(at: datetime, is_exact: bool) -> str:
    """As in "jeudi 26 novembre à 16 h"."""
    return f"{_say_day(at)} à {_say_hour(at, is_exact=is_exact)}"


TEXTS: Mapping[NoticeEvent, Mapping[NoticeReader, Template]] = {
    E.BOOKED: {
        R.CONSIGNEE: template(
            "Un colis arrive chez vous",
            (
                "{carrier} vous apporte un colis {window}.",
                "Votre colis arrive {window}.",
                "Un colis arrive chez vous.",
            ),
            "Il sera déposé dans votre voiture ou derrière votre porte. Vous n'avez pas besoin d'être là.",
            "Si ce n'est pas possible, il {fallback_goes}.",
        ),
        R.CARRIER: template(
            "Réservé", ("Réservé : {window}.", "Un arrêt est réservé."), "À défaut, il {fallback_goes}."
        ),
    },
    E.BOOKING_CHANGED: {
        R.CONSIGNEE: template(
            "Votre livraison a changé",
            ("Votre colis arrive désormais {window}.", "Votre livraison a changé."),
            "S'il ne peut pas être déposé à sa place, il {fallback_goes}.",
        ),
        R.CARRIER: template(
            "Réservation modifiée", ("C'est désormais {window}.", "La réservation a été modifiée."), _FALLBACK
        ),
    },
    E.BOOKING_CANCELLED: {
        R.CONSIGNEE: template(
            "Votre livraison est annulée",
            ("{carrier} a annulé la livraison prévue {window}.", "La livraison a été annulée."),
            "Rien ne sera ouvert pour elle.",
        ),
        R.CARRIER: template("Réservation annulée", "La réservation a été annulée.", "Rien n'est ouvert."),
    },
    E.REDIRECTED: {
        R.CONSIGNEE: template(
            "Votre colis prend un autre chemin",
            (
                "À la demande de {who}, le colis {fallback_goes}.",
                "À la demande de votre foyer, le colis {fallback_goes}.",
                "À la demande de votre foyer, le colis est livré autrement.",
            ),
            "Votre voiture ou votre porte reste fermée.",
        ),
        R.CARRIER: template(
            "Redirigé par le destinataire",
            ("Le colis {fallback_goes}.", "Le foyer a redirigé le colis."),
            "Le lieu n'est pas ouvert pour lui.",
        ),
    },
    E.MORNING_OF_DELIVERY: {
        R.CONSIGNEE: template(
            ("Colis aujourd'hui : garez-vous à moins de {range_m} m", "Votre colis arrive aujourd'hui"),
            ("Votre colis arrive {window}.", "Votre colis arrive aujourd'hui."),
            ("{mind}", *_PARK),
            "Nous vérifions que tout va bien avant le départ du livreur.",
        ),
    },
    E.PREFLIGHT_FAILED: {
        R.CONSIGNEE: template(
            "Votre livraison a besoin de vous",
            ("{obstacle}", "Quelque chose empêche votre livraison."),
            ("{advice}", "Veuillez regarder dans l'application."),
            "À faire avant {until}.",
            ("Sinon, le colis {fallback_goes}.", "Sinon, le colis est livré autrement."),
        ),
    },
    E.PREFLIGHT_MENDED: {
        R.CONSIGNEE: template(
            "Tout va bien pour votre livraison",
            "L'obstacle est levé. Merci.",
            ("Votre colis arrive {window}.", "Votre colis arrive comme prévu."),
        ),
        R.CARRIER: template(
            "Le lieu peut finalement être ouvert",
            ("L'obstacle est levé : livrez comme prévu, {window}.", "L'obstacle est levé."),
        ),
    },
    E.RULED_OUT: {
        R.CONSIGNEE: template(
            "Votre colis est livré autrement",
            ("{obstacle}", "{incident}", "Quelque chose empêche toujours votre livraison."),
            "Aucun livreur n'ouvrira donc aujourd'hui.",
            _FALLBACK,
        ),
        R.CARRIER: template(
            "Le lieu n'est pas ouvert aujourd'hui",
            ("{incident}", "Le lieu ne peut pas être ouvert pour cet arrêt."),
            ("Prenez la solution de repli : il {fallback_goes}.", "Prenez la solution de repli."),
        ),
    },
    E.COURIER_ON_THE_WAY: {
        R.CONSIGNEE: template(
            ("{courier} est en route vers vous", "Votre livreur est en route"),
            ("{courier} vous apporte votre colis.", "Le livreur vous apporte votre colis."),
            "Arrivée prévue {at} environ.",
            ("{keep}", "Veuillez ne pas déplacer la voiture tant que le colis n'y est pas."),
        ),
    },
    E.COURIER_ARRIVING: {
        R.CONSIGNEE: template(
            ("{courier} est presque là", "Votre livreur est presque là"),
            ("{courier} arrive dans un instant.", "Le livreur arrive dans un instant."),
            ("{keep}", "Veuillez ne pas déplacer la voiture."),
        ),
    },
    E.UNLOCKED: {
        R.CONSIGNEE: template(
            "Ouvert pour votre colis",
            (
                "Votre voiture ou votre porte a été ouverte pour {courier}, {at_exact}.",
                "Votre voiture ou votre porte a été ouverte pour le livreur, {at_exact}.",
                "Votre voiture ou votre porte a été ouverte pour le livreur.",
            ),
            "Nous la surveillons et vous dirons comment cela se termine.",
        ),
    },
    E.DELIVERED: {
        R.CONSIGNEE: template(
            "Livré et verrouillé",
            ("{courier} a déposé votre colis.", "Votre colis est à l'intérieur."),
            ("Le verrouillage a été constaté {at_exact}.", "Le verrouillage a été constaté."),
        ),
        R.CARRIER: template(
            "Livré et verrouillé",
            ("Livré par {courier}.", "Livré."),
            ("Le verrouillage du lieu a été constaté {at_exact}.", "Le verrouillage a été constaté."),
        ),
    },
    E.DELIVERED_LOCK_NOT_SEEN: {
        R.CONSIGNEE: template(
            "Livré : veuillez vérifier la serrure",
            ("{courier} a déposé votre colis.", "Votre colis est à l'intérieur."),
            f"De la serrure, nous savons ceci : {_SAID_NOT_SEEN}.",
            "Veuillez vérifier que c'est bien fermé.",
        ),
        R.CARRIER: template(
            "Livré, verrouillage non constaté",
            ("Livré par {courier}.", "Livré."),
            f"De la serrure : {_SAID_NOT_SEEN}.",
        ),
    },
    E.HANDED_OVER: {
        R.CONSIGNEE: template(
            "Remis à votre porte",
            (
                "{courier} a remis votre colis à quelqu'un qui est venu à la porte.",
                "Votre colis a été remis à quelqu'un qui est venu à la porte.",
            ),
            "Nous n'avons rien ouvert.",
        ),
        R.CARRIER: template(
            "Remis en main propre",
            ("Remis par {courier}.", "Remis."),
            "Quelqu'un est venu à la porte ; rien n'a été ouvert.",
        ),
    },
    E.RULED_DELIVERED: {
        R.CONSIGNEE: template(
            "Votre colis est livré",
            "Nous avons vérifié : votre colis est à l'intérieur.",
            "Veuillez vérifier que votre voiture ou votre porte est bien fermée.",
        ),
        R.CARRIER: template(
            "Décision : livré", "Un opérateur a établi que le colis est à sa place, et a tranché ainsi."
        ),
    },
    E.NOT_DELIVERED: {
        R.CONSIGNEE: template(
            "Votre colis n'a pas pu être déposé",
            ("{incident}", "Votre colis n'a pas pu être déposé à sa place."),
            _FALLBACK,
        ),
        R.CARRIER: template(
            "Non livré", ("{incident}", "Le colis n'a pas été déposé à sa place."), _FALLBACK
        ),
    },
    E.NOT_DELIVERED_LOCK_NOT_SEEN: {
        R.CONSIGNEE: template(
            "Non livré : veuillez vérifier la serrure",
            ("{incident}", "Votre colis n'a pas pu être déposé à sa place."),
            f"De la serrure, nous savons ceci : {_SAID_NOT_SEEN}.",
            "Veuillez vérifier que c'est bien fermé.",
            _FALLBACK,
        ),
        R.CARRIER: template(
            "Non livré, verrouillage non constaté",
            ("{incident}", "Le colis n'a pas été déposé à sa place."),
            f"De la serrure : {_SAID_NOT_SEEN}.",
            _FALLBACK,
        ),
    },
    E.FALLBACK_DONE: {
        R.CONSIGNEE: template(
            "Où se trouve votre colis",
            ("Votre colis {fallback_went}.", "Votre colis a été livré autrement."),
            ("{courier} indique : {told}", "Le livreur indique : {told}"),
        ),
        R.CARRIER: template(
            "Solution de repli effectuée",
            ("Le colis {fallback_went}.", "La solution de repli a été effectuée."),
            ("{courier} indique : {told}", "Le livreur indique : {told}"),
        ),
    },
    E.NOBODY_CAME: {
        R.CONSIGNEE: template(
            "Aucun livreur n'est venu",
            (
                "Aucun livreur n'est venu {window}. Veuillez nous excuser.",
                "Aucun livreur n'est venu à temps. Veuillez nous excuser.",
            ),
            _FALLBACK,
        ),
        R.CARRIER: template(
            "Aucun livreur n'est venu",
            (
                "Aucun livreur n'a demandé l'ouverture {window}.",
                "Le créneau est terminé et aucun livreur n'a demandé l'ouverture.",
            ),
            _FALLBACK,
        ),
    },
    E.RECORDING_LOST: {
        R.CONSIGNEE: template(
            "L'enregistrement s'est arrêté",
            "Votre caméra a été perdue pendant que le livreur était à votre porte.",
            "Le livreur est prié de sortir et de fermer la porte, et nos équipes sont appelées.",
        ),
        R.CARRIER: template(
            "L'enregistrement s'est arrêté",
            "La caméra d'un logement a été perdue pendant une visite.",
            "Le livreur est prié de sortir ; un opérateur est appelé.",
        ),
        R.OPERATOR: template(
            "Enregistrement perdu : appelez maintenant",
            "La caméra d'un logement a été perdue alors que la porte peut être ouverte.",
            "Appelez le livreur et le destinataire.",
        ),
    },
    E.NOT_SECURED: {
        R.CONSIGNEE: template(
            "Veuillez vérifier votre voiture ou votre porte",
            "Son verrouillage n'a pas été constaté après le passage du livreur.",
            "Nous essayons de la verrouiller et nos équipes sont appelées. Vérifiez vous-même si vous le pouvez.",
        ),
        R.CARRIER: template(
            "Verrouillage non constaté",
            "Le verrouillage d'un lieu qui a été ouvert n'a pas été constaté à temps.",
            "Le livreur est prié de rester sur place ; un opérateur est appelé.",
        ),
        R.OPERATOR: template(
            "Verrouillage non constaté : appelez maintenant",
            ("{incident}", "Le verrouillage d'un lieu qui a été ouvert n'a pas été constaté à temps."),
            "Appelez le livreur et le destinataire.",
        ),
    },
    E.OPENED_AFTERWARDS: {
        R.CONSIGNEE: template(
            "Vérifiez votre voiture ou votre porte",
            (
                "{incident}",
                "Votre voiture ou votre porte est peut-être ouverte. Le verrouillage est ordonné. Veuillez vérifier.",
            ),
        ),
        R.CARRIER: template(
            "Ouvert, ou illisible, après la visite",
            ("{incident}", "Le lieu est peut-être ouvert après la visite."),
        ),
        R.OPERATOR: template(
            "Ouvert, ou illisible, après la visite : appelez",
            ("{incident}", "Le lieu est peut-être ouvert après la visite. Le verrouillage est ordonné."),
            "Appelez le destinataire.",
        ),
    },
    E.BLOCKED: {
        R.CONSIGNEE: template(
            "Les livraisons sont bloquées",
            (
                "{who} a bloqué les livraisons : {place}.",
                "{who} a bloqué les livraisons chez vous.",
                "Les livraisons sont bloquées : {place}.",
                "Les livraisons chez vous sont bloquées.",
            ),
            "Rien n'y est ouvert jusqu'à la fin du blocage.",
        ),
    },
    E.UNBLOCKED: {
        R.CONSIGNEE: template(
            "Les livraisons sont à nouveau permises",
            (
                "{who} permet à nouveau les livraisons : {place}.",
                "{who} permet à nouveau les livraisons chez vous.",
                "Les livraisons sont à nouveau permises : {place}.",
                "Les livraisons chez vous sont à nouveau permises.",
            ),
        ),
    },
    E.MEMBER_JOINED: {
        R.CONSIGNEE: template(
            ("{who} a rejoint votre foyer", "Quelqu'un a rejoint votre foyer"),
            (
                "{who} partage désormais un lieu avec vous : {place}.",
                "{who} partage désormais votre lieu.",
                "Quelqu'un partage désormais votre lieu.",
            ),
            "Cette personne en voit les livraisons et peut les bloquer.",
        ),
    },
    E.MEMBER_LEFT: {
        R.CONSIGNEE: template(
            ("{who} a quitté votre foyer", "Quelqu'un a quitté votre foyer"),
            (
                "{who} ne partage plus ce lieu avec vous : {place}.",
                "{who} ne partage plus votre lieu.",
                "Quelqu'un ne partage plus votre lieu.",
            ),
        ),
    },
    E.OWNER_CHANGED: {
        R.CONSIGNEE: template(
            ("{place} a un autre propriétaire", "Votre lieu partagé a un autre propriétaire"),
            ("{who} en est désormais propriétaire.", "L'un de ses membres en est désormais propriétaire."),
            "Le propriétaire décide qui le partage.",
        ),
    },
    E.CAMERA_CHECK_DUE: {
        R.CONSIGNEE: template(
            "Veuillez vérifier votre caméra",
            (
                "Votre caméra {camera} est à vérifier avant {until}.",
                "Votre caméra {camera} est à vérifier dans la semaine.",
                "Une de vos caméras est à vérifier dans la semaine.",
            ),
            "Cela prend quelques minutes : ouvrez une fois la porte devant elle, comme à l'installation.",
            "Sans cela, elle n'ouvrira plus aucune porte.",
        ),
    },
    E.CAMERA_CHECK_OVER: {
        R.CONSIGNEE: template(
            "Votre caméra n'a pas été vérifiée",
            (
                "Votre caméra {camera} n'a pas été vérifiée à temps, et n'ouvre plus aucune porte.",
                "Une de vos caméras n'a pas été vérifiée à temps, et n'ouvre plus aucune porte.",
            ),
            "Sauf si une autre voit la porte, rien n'y sera livré tant que vous ne l'aurez pas vérifiée.",
        ),
    },
    E.ACCOUNT_LOST: {
        R.CONSIGNEE: template(
            "Veuillez relier votre voiture à nouveau",
            (
                "Le constructeur ne nous laisse plus entrer : {place}.",
                "Le constructeur de votre voiture ne nous laisse plus entrer.",
            ),
            "Tant qu'elle n'est pas reliée à nouveau, aucun colis ne peut y être déposé.",
        ),
    },
    E.LINK_ENDING: {
        R.CONSIGNEE: template(
            ("Nouveau propriétaire, voiture à relier : {place}", "Nouveau propriétaire : reliez la voiture"),
            (
                "La voiture est à relier par un compte de {who}.",
                "La voiture est à relier par un compte du nouveau propriétaire.",
            ),
            "D'ici là ({until}), elle reste reliée par le compte précédent, et les livraisons continuent.",
        ),
    },
    E.LINK_ENDED: {
        R.CONSIGNEE: template(
            "Veuillez relier votre voiture à nouveau",
            (
                "Le compte qui la reliait est celui de l'ancien propriétaire : {place}.",
                "Le compte qui reliait votre voiture est celui de l'ancien propriétaire.",
            ),
            "Tant que le nouveau propriétaire ne l'a pas reliée, aucun colis ne peut y être déposé.",
        ),
    },
    E.ACCOUNT_NARROWED: {
        R.CONSIGNEE: template(
            "Veuillez relier votre voiture à nouveau",
            (
                "Le lien ne nous permet plus ni d'ouvrir ni de verrouiller : {place}.",
                "Le lien à votre voiture ne nous permet plus de l'ouvrir ni de la verrouiller.",
            ),
            "Reliez-la de nouveau en acceptant les deux : d'ici là, aucun colis ne peut y être déposé.",
        ),
    },
    E.CALLED: {
        R.OPERATOR: template(
            "Un appel à l'aide",
            ("{incident}", "Une visite demande qu'une personne regarde."),
            "Il figure parmi les appels ouverts.",
        ),
    },
    E.CLAIM_OPENED: {
        R.CONSIGNEE: template(
            "Une réclamation est ouverte",
            (
                "{who} a ouvert une réclamation sur une livraison.",
                "Une réclamation sur une livraison a été ouverte.",
            ),
            "Son numéro est {claim}.",
            "Ce qui a été enregistré y est joint, visible des deux côtés.",
        ),
        R.CARRIER: template(
            "Une réclamation est ouverte",
            ("Un destinataire a ouvert la réclamation {claim}.", "Un destinataire a ouvert une réclamation."),
            "Ce qui a été enregistré y est joint.",
        ),
    },
    E.CLAIM_CHANGED: {
        R.CONSIGNEE: template(
            "Du nouveau sur votre réclamation",
            ("Votre réclamation est {state}.", "Il y a du nouveau sur votre réclamation."),
            "Son numéro est {claim}.",
        ),
        R.CARRIER: template(
            "Du nouveau sur une réclamation",
            (
                "La réclamation {claim} est {state}.",
                "La réclamation {claim} a changé.",
                "Une réclamation a changé.",
            ),
        ),
    },
    E.CLIP_GLASS_BROKEN: {
        R.CONSIGNEE: template(
            "Un enregistrement de votre porte peut être vu",
            (
                "{who}, de l'exploitant, peut voir l'enregistrement d'une visite chez vous jusqu'au {until}.",
                "Une personne de l'exploitant peut voir l'enregistrement d'une visite chez vous jusqu'au {until}.",
                "Une personne de l'exploitant peut voir une demi-heure l'enregistrement d'une visite chez vous.",
            ),
            "Votre accord n'a pas été demandé. La raison figure dans l'application, comme chaque consultation.",
        ),
    },
}

PHRASES = Phrases(
    texts=TEXTS,
    confirmation=template(
        "Votre code pour Unlatch : {code}",
        "Saisissez {code} dans l'application pour être prévenu ici de vos livraisons.",
        "Il est valable dix minutes. Si vous ne l'avez pas demandé, rien ne se passe.",
    ),
    trial=template("Un essai d'Unlatch", "Ce moyen fonctionne : vous êtes prévenu ici de vos livraisons."),
    fallback_goes={
        Fallback.TO_DOOR: ("est déposé devant votre porte", "est déposé devant la porte de l'adresse"),
        Fallback.NEIGHBOUR: ("est remis à un voisin", "est remis à un voisin"),
        Fallback.PICKUP_POINT: ("est déposé dans un point relais", "est déposé dans un point relais"),
        Fallback.TOMORROW: ("revient le lendemain", "est présenté à nouveau le lendemain"),
        Fallback.DEPOT: ("retourne au dépôt", "retourne au dépôt"),
    },
    fallback_went={
        Fallback.TO_DOOR: ("a été déposé devant votre porte", "a été déposé devant la porte de l'adresse"),
        Fallback.NEIGHBOUR: ("a été remis à un voisin", "a été remis à un voisin"),
        Fallback.PICKUP_POINT: ("a été déposé dans un point relais", "a été déposé dans un point relais"),
        Fallback.TOMORROW: ("revient le lendemain", "est présenté à nouveau le lendemain"),
        Fallback.DEPOT: ("a été rapporté au dépôt", "a été rapporté au dépôt"),
    },
    mind_home=_MIND_HOME,
    keep_home=_KEEP_HOME,
    claim_states={
        "open": "ouverte",
        "answered": "traitée",
        "disputed": "contestée",
        "escalated": "devant nos équipes, qui décident",
        "settled": "réglée",
        "dismissed": "rejetée",
        "withdrawn": "retirée",
    },
    say_window=say_window,
    say_moment=say_moment,
    say_quoted=lambda told: f"« {told} »",
)
