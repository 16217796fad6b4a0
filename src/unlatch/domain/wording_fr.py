"""The texts in French: for the courier, the consignee, the operator. See `wording.py`."""

from __future__ import annotations

from collections.abc import Mapping

from unlatch.domain.incident import Incident, NextStep
from unlatch.domain.proof import Kind
from unlatch.domain.visit import Fact, State

I, N, S, F, K = Incident, NextStep, State, Fact, Kind  # noqa: E741

_OTHER_WAY = "Votre colis vous sera livré autrement."

INCIDENTS: Mapping[Incident, tuple[str, str, str]] = {
    I.COURIER_NOT_ACTIVE: (
        "Votre compte de livreur n'est pas actif.",
        f"Le livreur n'était pas autorisé à ouvrir. {_OTHER_WAY}",
        "Le compte du livreur n'est pas actif.",
    ),
    I.COURIER_NOT_ON_ROUTE: (
        "Cet arrêt ne fait pas partie de votre tournée.",
        "Un livreur qui n'est pas de votre tournée a demandé à ouvrir. Rien n'a été ouvert.",
        "Le livreur n'est pas affecté à cet arrêt.",
    ),
    I.COURIER_DEVICE_REVOKED: (
        "Ce téléphone n'a plus le droit d'ouvrir.",
        f"Le téléphone du livreur n'avait pas le droit d'ouvrir. {_OTHER_WAY}",
        "L'appareil du livreur est révoqué ou n'a jamais été enregistré.",
    ),
    I.COURIER_BUSY_ELSEWHERE: (
        "Votre visite à un autre arrêt n'est pas terminée.",
        "Le livreur termine encore un autre arrêt.",
        "Une autre visite de ce livreur est encore en cours.",
    ),
    I.COURIER_TOO_FAR: (
        "Vous êtes trop loin pour ouvrir.",
        "Le livreur était trop loin pour ouvrir. Rien n'a été ouvert.",
        "Le téléphone du livreur est hors de portée du lieu, compte tenu des deux précisions.",
    ),
    I.COURIER_POSITION_UNKNOWN: (
        "Votre téléphone ne sait pas assez précisément où vous êtes.",
        "Le téléphone du livreur n'a pas pu indiquer où il était. Rien n'a été ouvert.",
        "Le téléphone du livreur n'a donné aucune position, ou une position trop imprécise.",
    ),
    I.COURIER_TOO_EARLY: (
        "Le créneau de livraison n'a pas commencé.",
        "Le livreur est venu avant votre créneau de livraison. Rien n'a été ouvert.",
        "Scanné avant le début du créneau.",
    ),
    I.COURIER_TOO_LATE: (
        "Le créneau de livraison est terminé.",
        f"Le livreur est venu après votre créneau de livraison. {_OTHER_WAY}",
        "Scanné après la fin du créneau.",
    ),
    I.CARRIER_PARCEL_UNKNOWN: (
        "Cette étiquette est inconnue.",
        "Un colis que nous ne connaissons pas a été scanné chez vous. Rien n'a été ouvert.",
        "L'étiquette scannée ne correspond à aucun colis annoncé.",
    ),
    I.CARRIER_PARCEL_OF_OTHER_STOP: (
        "Ce colis est destiné à un autre arrêt.",
        "Un colis destiné à quelqu'un d'autre a été scanné chez vous. Rien n'a été ouvert.",
        "Le colis scanné appartient à un autre arrêt.",
    ),
    I.CARRIER_PARCEL_DONE_ALREADY: (
        "Ce colis est déjà enregistré comme livré ou envoyé ailleurs.",
        "Un colis déjà enregistré comme traité a été scanné de nouveau. Rien n'a été ouvert.",
        "Le colis scanné est déjà livré ou a déjà suivi sa solution de repli.",
    ),
    I.CARRIER_STOP_ENDED: (
        "Cet arrêt est déjà terminé.",
        "Le livreur est venu pour un arrêt déjà terminé. Rien n'a été ouvert.",
        "L'arrêt est clos.",
    ),
    I.CARRIER_CANCELLED: (
        "Cette livraison a été annulée par votre transporteur.",
        "Le transporteur a annulé cette livraison. Rien n'a été ouvert.",
        "Le transporteur a annulé l'arrêt.",
    ),
    I.CARRIER_NOBODY_CAME: (
        "Le créneau de cet arrêt est passé, et vous n'avez pas demandé d'ouverture.",
        f"Aucun livreur n'est venu pendant votre créneau de livraison. {_OTHER_WAY}",
        "Le créneau s'est terminé sans scan.",
    ),
    I.CONSIGNEE_REDIRECTED: (
        "Le destinataire souhaite recevoir ce colis autrement.",
        "Ce colis prend l'autre voie que votre foyer a choisie.",
        "Le foyer a redirigé l'arrêt vers sa solution de repli.",
    ),
    I.CONSIGNEE_BLOCKED: (
        "Le destinataire a bloqué cette livraison.",
        "Vous avez bloqué la livraison.",
        "Le destinataire, ou un opérateur pour lui, a bloqué la livraison.",
    ),
    I.CONSIGNEE_CONSENT_ENDED: (
        "L'autorisation du destinataire a pris fin.",
        f"Votre autorisation de livrer ici a pris fin. {_OTHER_WAY}",
        "L'accord du destinataire n'a pas été donné ou a pris fin.",
    ),
    I.CONSIGNEE_HOUR_NOT_ALLOWED: (
        "Le destinataire n'autorise pas les livraisons à cette heure.",
        f"Le livreur est venu en dehors des heures que vous autorisez. {_OTHER_WAY}",
        "En dehors des heures quotidiennes autorisées.",
    ),
    I.CONSIGNEE_CAR_OUT_OF_RANGE: (
        "La voiture est garée trop loin de l'adresse.",
        f"Votre voiture était garée trop loin de votre adresse. {_OTHER_WAY}",
        "La position donnée par la voiture est trop éloignée de l'adresse.",
    ),
    I.CONSIGNEE_CAR_MOVING: (
        "La voiture roule.",
        f"Votre voiture roulait quand le livreur est venu. {_OTHER_WAY}",
        "Le relevé montre la voiture en mouvement.",
    ),
    I.DEVICE_OPEN_ON_ARRIVAL: (
        "C'est déjà ouvert. N'y déposez pas le colis.",
        "C'était déjà ouvert à l'arrivée du livreur. Veuillez vérifier.",
        "Vu ouvert avant tout déverrouillage de notre part.",
    ),
    I.DEVICE_UNLOCKED_ON_ARRIVAL: (
        "C'est déjà déverrouillé. N'y déposez pas le colis.",
        "C'était déjà déverrouillé à l'arrivée du livreur. Veuillez vérifier.",
        "Vu déverrouillé avant tout déverrouillage de notre part.",
    ),
    I.DEVICE_POSITION_UNKNOWN: (
        "La voiture n'indique pas où elle se trouve.",
        f"Votre voiture n'a pas indiqué où elle se trouvait. {_OTHER_WAY}",
        "Le relevé ne contient aucune position.",
    ),
    I.DEVICE_NO_READING: (
        "La voiture ou la porte ne répond pas.",
        f"Votre voiture ou votre porte n'a pas répondu à temps. {_OTHER_WAY}",
        "Aucun relevé récent et complet n'a pu être obtenu à temps.",
    ),
    I.DEVICE_ASLEEP: (
        "La voiture est en veille et ne répond pas.",
        f"Votre voiture était en veille et n'a pas répondu. {_OTHER_WAY}",
        "L'appareil est en veille.",
    ),
    I.DEVICE_CONSENT_LOST: (
        "Le constructeur ne nous laisse plus ouvrir cette voiture ou cette porte.",
        "Le constructeur ne nous donne plus accès. Veuillez relier de nouveau votre voiture ou votre porte.",
        "Le constructeur nous refuse : accès retiré, abonnement terminé ou mot de passe changé.",
    ),
    I.DEVICE_SUBSCRIPTION_LAPSED: (
        "Le service connecté de la voiture a pris fin : elle ne peut pas être ouverte.",
        f"Le service connecté de votre voiture a pris fin. {_OTHER_WAY}",
        "L'abonnement au service connecté de la voiture a expiré.",
    ),
    I.DEVICE_CLOUD_OUTAGE: (
        "Le service du constructeur est en panne.",
        f"Le service du constructeur était en panne. {_OTHER_WAY}",
        "Le service en ligne du constructeur est en panne.",
    ),
    I.DEVICE_QUOTA_USED_UP: (
        "Le service du constructeur n'accepte plus de demandes pour l'instant.",
        "Le service du constructeur n'a plus accepté de demandes pendant un moment.",
        "Le quota auprès du service du constructeur est épuisé.",
    ),
    I.DEVICE_LOCK_NOT_READABLE: (
        "Cette serrure ne peut pas être contrôlée ; il n'est donc pas permis de l'ouvrir.",
        f"Votre serrure ne peut pas être contrôlée à distance ; elle n'a pas été ouverte. {_OTHER_WAY}",
        "La serrure ne peut pas être lue, et le programme ne l'admet pas.",
    ),
    I.DEVICE_CAMERA_NOT_PROVEN: (
        "La caméra n'enregistre pas ; il n'est donc pas permis d'ouvrir la porte.",
        f"Votre caméra n'enregistrait pas ; votre porte n'a pas été ouverte. {_OTHER_WAY}",
        "Aucune preuve d'enregistrement avant le déverrouillage.",
    ),
    I.DEVICE_CAMERA_OFFLINE: (
        "La caméra n'est pas joignable ; il n'est donc pas permis d'ouvrir la porte.",
        f"Votre caméra n'était pas joignable ; votre porte n'a pas été ouverte. {_OTHER_WAY}",
        "Aucune caméra du lieu n'envoie d'image.",
    ),
    I.DEVICE_CAMERA_NOT_ENROLLED: (
        "La caméra n'a pas été vérifiée ; il n'est donc pas permis d'ouvrir la porte.",
        f"Aucune de vos caméras vérifiées ne voit la porte, ou la vérification est en retard. {_OTHER_WAY}",
        "Aucune caméra du lieu n'est enregistrée comme témoin, ou sa vérification est en retard.",
    ),
    I.CONSIGNEE_SECOND_BOLT: (
        "La porte est fermée de l'intérieur par un second verrou.",
        f"Un second verrou était mis de l'intérieur ; votre porte n'a pas pu être ouverte. {_OTHER_WAY}",
        "Un second verrou est mis : quelqu'un a fermé de l'intérieur.",
    ),
    I.CONSIGNEE_ALARM_ARMED: (
        "Une alarme est activée ; il n'est donc pas permis d'ouvrir la porte.",
        f"Votre alarme était activée ; votre porte n'a pas été ouverte. {_OTHER_WAY}",
        "L'alarme du lieu est activée.",
    ),
    I.CONSIGNEE_PET_LOOSE: (
        "Un animal pourrait s'échapper ; il n'est donc pas permis d'ouvrir la porte.",
        f"Vous avez indiqué qu'un animal pourrait s'échapper ; votre porte n'a pas été ouverte. {_OTHER_WAY}",
        "Le destinataire a indiqué qu'un animal pourrait s'échapper.",
    ),
    I.PLATFORM_PLACE_BUSY: (
        "Une autre livraison est en cours à cet endroit.",
        "Une autre livraison est en cours chez vous.",
        "Une autre visite est en cours à ce point d'accès.",
    ),
    I.PLATFORM_PLACE_STILL_WATCHED: (
        "Cet endroit est encore surveillé après une visite précédente.",
        f"Cet endroit était encore surveillé après une visite précédente. {_OTHER_WAY}",
        "Un déverrouillage antérieur peut encore prendre effet : pas de nouvelle autorisation d'ici là.",
    ),
    I.PLATFORM_PLACE_FROZEN: (
        "Cet endroit est suspendu.",
        f"Les livraisons à cet endroit sont suspendues. {_OTHER_WAY}",
        "Le point d'accès est gelé.",
    ),
    I.PLATFORM_COURIER_FROZEN: (
        "Vous ne pouvez rien ouvrir pour le moment.",
        f"Ce livreur ne peut rien ouvrir pour le moment. {_OTHER_WAY}",
        "Ce livreur est gelé par un exploitant.",
    ),
    I.PLATFORM_FROZEN_WIDELY: (
        "Les livraisons de ce type sont suspendues pour le moment.",
        f"Les livraisons comme la vôtre sont suspendues pour le moment. {_OTHER_WAY}",
        "Le nuage du constructeur, la zone ou tout est gelé par un exploitant.",
    ),
    I.COURIER_GAVE_UP: (
        "Vous avez indiqué que vous ne pouviez pas livrer.",
        "Le livreur n'a pas pu livrer et garde votre colis.",
        "Le livreur a indiqué qu'il ne pouvait pas livrer.",
    ),
    I.PLATFORM_TOO_SLOW: (
        "Nous avons mis trop de temps. Rien n'a été ouvert.",
        "Nous avons été trop lents. Rien n'a été ouvert.",
        "La décision ou l'autorisation a expiré avant l'envoi.",
    ),
    I.PLATFORM_RESTORED: (
        "Notre système a eu une panne et a pu perdre ses derniers instants. Veuillez vérifier que c'est bien fermé.",
        "Notre système a eu une panne et a pu perdre ses derniers instants. Vérifiez votre voiture ou votre porte.",
        "Autorisations annulées après une panne. Un déverrouillage a pu partir dans le temps perdu : voir sur place.",
    ),
    I.DEVICE_COMMAND_NOT_SENT: (
        "La demande de déverrouillage n'est pas partie. Rien n'a été ouvert.",
        "La demande n'est pas parvenue à votre voiture ou à votre porte. Rien n'a été ouvert.",
        "Le déverrouillage n'a certainement pas été envoyé.",
    ),
    I.CONSIGNEE_AT_HOME: (
        "Quelqu'un est là et est venu à la porte.",
        "Quelqu'un est venu à la porte ; nous n'avons donc rien ouvert.",
        "Quelqu'un est venu à la porte avant notre commande.",
    ),
    I.CONSIGNEE_OPENED_FIRST: (
        "Quelqu'un d'autre a ouvert ou déverrouillé avant vous. N'y déposez pas le colis.",
        "Quelqu'un a ouvert ou déverrouillé avant le livreur ; nous n'avons donc rien ouvert.",
        "Vu ouvert ou déverrouillé avant que notre commande ne parte.",
    ),
    I.CONSIGNEE_DROVE_OFF: (
        "La voiture se déplace. Tenez-vous à distance.",
        "Votre voiture s'est déplacée pendant la livraison.",
        "La voiture a bougé ou quitté sa place pendant la visite.",
    ),
    I.DEVICE_UNLOCK_FAILED: (
        "Le service du constructeur indique que le déverrouillage a échoué.",
        "Le service du constructeur indique que le déverrouillage a échoué.",
        "Le service indique un échec du déverrouillage ; l'ouverture reste possible.",
    ),
    I.DEVICE_UNLOCK_UNKNOWN: (
        "Personne ne peut encore dire si le déverrouillage a eu lieu.",
        "On ne sait pas encore si le déverrouillage a eu lieu. Nous continuons à surveiller.",
        "Le déverrouillage a peut-être eu lieu : son issue est inconnue.",
    ),
    I.DEVICE_NOT_OPENED: (
        "L'ouverture n'a pas eu lieu à temps.",
        "Votre voiture ou votre porte n'a pas été ouverte à temps.",
        "Annoncé déverrouillé par le service ; jamais ouvert.",
    ),
    I.DEVICE_RELOCKED_UNOPENED: (
        "La serrure s'est refermée d'elle-même avant l'ouverture.",
        "La serrure s'est refermée d'elle-même avant que le livreur n'ouvre.",
        "Revu verrouillé, jamais vu ouvert.",
    ),
    I.DEVICE_LOCK_FAILED: (
        "La serrure ne s'est pas fermée.",
        "La serrure ne s'est pas fermée du premier coup. Nous avons demandé l'aide du livreur.",
        "L'ordre de verrouiller a échoué ou n'a pas eu d'effet à temps.",
    ),
    I.DEVICE_NOT_SEEN_LOCKED: (
        "Le verrouillage n'a pas été constaté. Restez sur place jusqu'à notre appel.",
        "Le verrouillage de votre voiture ou de votre porte n'a pas été constaté. Veuillez vérifier.",
        "Verrouillage non constaté à temps. Appelez le livreur et le destinataire.",
    ),
    I.DEVICE_RECORDING_LOST: (
        "L'enregistrement s'est arrêté. Veuillez sortir.",
        "L'enregistrement s'est arrêté pendant la livraison. Nous nous en occupons.",
        "L'enregistrement a été interrompu ; la visite ne peut pas se terminer sans réserve.",
    ),
    I.DEVICE_LATE_UNLOCK: (
        "L'endroit que vous avez visité a été vu déverrouillé après votre départ.",
        (
            "Votre voiture ou votre porte a été vue déverrouillée ou ouverte après la livraison. "
            "Nous avons demandé le verrouillage. Veuillez vérifier."
        ),
        "Vu déverrouillé ou ouvert après la fin de la visite. Verrouillage demandé ; appelez le destinataire.",
    ),
    I.DEVICE_UNREADABLE_AFTERWARDS: (
        "L'endroit que vous avez visité n'a pas pu être contrôlé ensuite.",
        "Nous n'avons pas pu contrôler votre voiture ou votre porte après la livraison. Veuillez vérifier.",
        "Aucun relevé n'a pu être obtenu une fois qu'un déverrouillage tardif n'était plus possible.",
    ),
    I.COURIER_SILENT_WHILE_OPEN: (
        "C'est ouvert depuis trop longtemps. Veuillez refermer.",
        "C'est resté ouvert trop longtemps. Nous appelons le livreur.",
        "Ouvert depuis trop longtemps, sans nouvelles du livreur.",
    ),
    I.COURIER_PARCEL_UNACCOUNTED: (
        "Vous n'avez pas indiqué où se trouve le colis.",
        "Le livreur n'a pas encore indiqué où se trouve votre colis. Nous le lui demandons.",
        "Personne n'a indiqué où se trouve le colis : une décision est nécessaire.",
    ),
    I.PLATFORM_RULED: (
        "Un opérateur a décidé de l'issue de cette visite.",
        "Notre équipe a décidé de l'issue de cette visite.",
        "Un opérateur a décidé de l'issue de cette visite.",
    ),
}

NEXT_STEPS: Mapping[NextStep, str] = {
    N.WAIT: "Veuillez patienter un instant.",
    N.TRY_HANDLE: "Essayez la poignée et ouvrez.",
    N.PUT_PARCEL_IN: "Déposez le colis et prenez une photo.",
    N.CLOSE_LID: "Veuillez refermer maintenant.",
    N.CLOSE_FIRMLY_AND_PULL: "Refermez fermement et tirez sur la poignée.",
    N.PULL_HANDLE: "Tirez sur la poignée et dites si elle résiste.",
    N.SAY_WHERE_PARCEL_IS: "Dites où se trouve le colis : à l'intérieur, ou avec vous.",
    N.STAY_UNTIL_OPERATOR_CALLS: "Veuillez rester sur place. Un opérateur va vous appeler.",
    N.GO_ON: "Passez à l'arrêt suivant.",
    N.GO_NEARER: "Approchez-vous et scannez de nouveau.",
    N.COME_BACK_IN_WINDOW: "Revenez pendant le créneau de livraison.",
    N.RING_AND_WAIT: "Sonnez ou frappez, et attendez un instant.",
    N.HAND_OVER: "Remettez le colis, ou dites que ce n'était pas possible.",
    N.STEP_OUT_AND_CLOSE: "Sortez et fermez la porte. Attendez ensuite notre appel.",
    N.SCAN_RIGHT_PARCEL: "Scannez le colis de cet arrêt.",
    N.FINISH_OTHER_VISIT: "Terminez d'abord votre autre visite.",
    N.TRY_AGAIN_SOON: "Réessayez dans une minute.",
    N.TAKE_FALLBACK: "Livrez de l'autre façon indiquée pour cet arrêt.",
    N.ASK_CARRIER: "Contactez votre répartiteur.",
}

_SAID_NOT_SEEN = (
    "le service du constructeur indique que c'est verrouillé et le livreur a tiré sur la poignée ; "
    "le verrouillage lui-même n'a pas été constaté"
)

STATES: Mapping[State, tuple[str, str, str]] = {
    S.REQUESTED: ("Vérification", "Le livreur est arrivé.", "En attente d'un relevé et de la décision"),
    S.RINGING: ("Sonnez et attendez", "Le livreur sonne à votre porte.", "Le livreur sonne et attend"),
    S.ANSWERED: (
        "Quelqu'un est venu à la porte",
        "Quelqu'un est venu à la porte.",
        "Quelqu'un est venu ; remise en main propre ou non",
    ),
    S.PROVING: (
        "Vérification de la caméra",
        "Nous vérifions votre caméra.",
        "En attente d'une preuve d'enregistrement",
    ),
    S.GRANTED: (
        "Autorisé ; déverrouillage imminent",
        "Le livreur va ouvrir.",
        "Autorisé ; commande pas encore partie",
    ),
    S.UNLOCKING: (
        "Déverrouillage en cours",
        "Le déverrouillage est en cours.",
        "Un déverrouillage est peut-être en route",
    ),
    S.IN_DOUBT: (
        "Déverrouillage incertain",
        "Il n'est pas certain que le déverrouillage ait eu lieu.",
        "Issue du déverrouillage inconnue",
    ),
    S.READY: (
        "Vous devriez pouvoir ouvrir",
        "Le livreur peut ouvrir.",
        "Déverrouillé selon le service ; non constaté",
    ),
    S.UNLOCKED: ("Déverrouillé", "C'est déverrouillé ; le livreur va ouvrir.", "Vu déverrouillé"),
    S.OPEN: ("Ouvert", "C'est ouvert ; le livreur dépose votre colis.", "Ouvert"),
    S.OPEN_LONG: (
        "Ouvert depuis longtemps",
        "C'est encore ouvert. Nous l'avons rappelé au livreur.",
        "Ouvert depuis trop longtemps",
    ),
    S.CLOSED: (
        "Fermé ; verrouillage imminent",
        "C'est fermé et sur le point d'être verrouillé.",
        "Fermé ; verrouillage pas encore demandé",
    ),
    S.LOCKING: (
        "Verrouillage en cours",
        "Le verrouillage est en cours.",
        "Verrouillage demandé ; non constaté",
    ),
    S.STUCK: (
        "La serrure ne s'est pas fermée",
        "La serrure ne s'est pas fermée. Le livreur s'en occupe.",
        "Échec du verrouillage",
    ),
    S.LOCKING_AGAIN: (
        "Nouvel essai de verrouillage",
        "Nous essayons de nouveau de verrouiller.",
        "Verrouillage demandé une deuxième fois",
    ),
    S.HANDLE_CHECK: (
        "Contrôle de la poignée",
        "Le livreur contrôle la poignée.",
        "En attente du contrôle de la poignée",
    ),
    S.UNSECURED: (
        "Verrouillage non constaté",
        "Le verrouillage n'a pas été constaté. Nous nous en occupons et vous appelons.",
        "Verrouillage non constaté à temps : appelez",
    ),
    S.ACCOUNTING: (
        "Où est le colis ?",
        "Le livreur va indiquer où se trouve votre colis.",
        "En attente : le livreur doit indiquer où se trouve le colis",
    ),
    S.REVIEW: (
        "Un opérateur s'en occupe",
        "Nous cherchons où se trouve votre colis.",
        "Une décision est nécessaire : où est le colis ?",
    ),
    S.REFUSED: (
        "Non ouvert",
        f"Rien n'a été ouvert. {_OTHER_WAY}",
        "Refusé : aucun déverrouillage n'est parti",
    ),
    S.HANDED_OVER: (
        "Remis en main propre",
        "Votre colis a été remis à la porte. Nous n'avons rien ouvert.",
        "Remis à quelqu'un à la porte ; aucun déverrouillage",
    ),
    S.DELIVERED: (
        "Livré et vu verrouillé",
        "Votre colis est à l'intérieur, et le verrouillage a été constaté ensuite.",
        "Livré ; vu verrouillé",
    ),
    S.DELIVERED_LOCK_NOT_SEEN: (
        f"Livré : {_SAID_NOT_SEEN}.",
        f"Votre colis est à l'intérieur : {_SAID_NOT_SEEN}. Veuillez vérifier.",
        f"Livré : {_SAID_NOT_SEEN}.",
    ),
    S.UNDELIVERED: (
        "Non livré",
        "Votre colis n'a pas été livré ici. Le livreur l'a gardé.",
        "Non livré ; le colis est avec le livreur",
    ),
    S.UNDELIVERED_LOCK_NOT_SEEN: (
        f"Non livré : {_SAID_NOT_SEEN}.",
        f"Votre colis n'a pas été livré ici. Pour la serrure : {_SAID_NOT_SEEN}. Veuillez vérifier.",
        f"Non livré : {_SAID_NOT_SEEN}.",
    ),
    S.RULED_DELIVERED: (
        "Livré, par décision d'un opérateur",
        "Notre équipe a établi que votre colis a été livré.",
        "Déclaré livré",
    ),
    S.RULED_UNDELIVERED: (
        "Non livré, par décision d'un opérateur",
        "Notre équipe a établi que votre colis n'a pas été livré.",
        "Déclaré non livré",
    ),
}

FACTS: Mapping[Fact, str] = {
    F.GRANTED: "Tous les contrôles sont passés",
    F.DENIED: "Un contrôle a échoué : rien n'est ouvert",
    F.RECORDING_PROVEN: "La caméra a prouvé qu'elle enregistre",
    F.RECORDING_NOT_PROVEN: "La caméra n'a pas prouvé qu'elle enregistre",
    F.RECORDING_LOST: "L'enregistrement a été perdu",
    F.GATE_PASSED: "Le déverrouillage a été autorisé à partir",
    F.GATE_SHUT: "Le déverrouillage a été arrêté au dernier moment",
    F.RESTORED: "La plateforme a été restaurée : ceci n'est pas ouvert, et reste surveillé",
    F.UNLOCK_SAID_DONE: "Le service du constructeur indique : déverrouillé",
    F.UNLOCK_REJECTED: "Le service du constructeur indique : échec du déverrouillage",
    F.UNLOCK_NOT_SENT: "Le déverrouillage n'a pas été envoyé",
    F.UNLOCK_UNKNOWN: "Le service du constructeur n'a pas dit si le déverrouillage a eu lieu",
    F.LOCK_SAID_DONE: "Le service du constructeur indique que c'est verrouillé",
    F.LOCK_FAILED: "Le verrouillage a échoué",
    F.SEEN_LOCKED: "Vu verrouillé",
    F.SEEN_CLOSED: "Vu fermé, non verrouillé",
    F.SEEN_OPEN: "Vu ouvert",
    F.SEEN_LOCKED_FOR_GOOD: "Vu verrouillé, et aucun déverrouillage tardif n'est plus possible",
    F.DROVE_OFF: "La voiture est partie",
    F.COURIER_RANG: "Le livreur a sonné ou frappé",
    F.COURIER_MET_SOMEONE: "Le livreur dit : quelqu'un est venu à la porte",
    F.COURIER_HANDED_OVER: "Le livreur dit : remis en main propre",
    F.COURIER_OPENED: "Le livreur indique : ouvert",
    F.COURIER_DEPOSITED: "Le livreur indique : colis à l'intérieur",
    F.COURIER_CLOSED: "Le livreur indique : refermé",
    F.COURIER_PULLED_HANDLE: "Le livreur a tiré sur la poignée : elle résiste",
    F.COURIER_GAVE_UP: "Le livreur indique : livraison impossible",
    F.BLOCKED: "Bloqué",
    F.CLOCK_RAN_OUT: "Le temps prévu pour cette étape est écoulé",
    F.PATIENCE_RAN_OUT: "Verrouillage non constaté depuis trop longtemps : une personne est appelée",
    F.RULED_DELIVERED: "Décision d'un opérateur : livré",
    F.RULED_UNDELIVERED: "Décision d'un opérateur : non livré",
}

KINDS: Mapping[Kind, str] = {
    K.FACT: "Fait",
    K.DECISION: "Décision",
    K.ORDER: "Ordre",
    K.OUTCOME: "Résultat",
    K.READING: "Relevé",
    K.LOOK: "Consultation",
    K.CALL: "Appel",
    K.NOTE: "Note",
}
