"""The texts in English: for the courier, the consignee, the operator. See `wording.py`."""

from __future__ import annotations

from collections.abc import Mapping

from unlatch.domain.incident import Incident, NextStep
from unlatch.domain.proof import Kind
from unlatch.domain.visit import Fact, State

I, N, S, F, K = Incident, NextStep, State, Fact, Kind  # noqa: E741

_OTHER_WAY = "Your parcel is delivered another way."

INCIDENTS: Mapping[Incident, tuple[str, str, str]] = {
    I.COURIER_NOT_ACTIVE: (
        "Your courier account is not active.",
        f"The courier was not allowed to open. {_OTHER_WAY}",
        "The courier's account is not active.",
    ),
    I.COURIER_NOT_ON_ROUTE: (
        "This stop is not on your route.",
        "A courier who is not on your route asked to open. Nothing was opened.",
        "The courier is not assigned to this stop.",
    ),
    I.COURIER_DEVICE_REVOKED: (
        "This phone may no longer open.",
        f"The courier's phone was not allowed to open. {_OTHER_WAY}",
        "The courier's device is revoked or was never enrolled.",
    ),
    I.COURIER_BUSY_ELSEWHERE: (
        "Your visit at another stop is not finished.",
        "The courier is still finishing another stop.",
        "Another visit of this courier still lives.",
    ),
    I.COURIER_TOO_FAR: (
        "You are too far away to open.",
        "The courier was too far away to open. Nothing was opened.",
        "The courier's phone is out of reach of the place, both accuracies considered.",
    ),
    I.COURIER_POSITION_UNKNOWN: (
        "Your phone does not know well enough where you are.",
        "The courier's phone could not tell where it was. Nothing was opened.",
        "The courier's phone gave no position, or one that is too inaccurate.",
    ),
    I.COURIER_TOO_EARLY: (
        "The delivery window has not begun.",
        "The courier came before your delivery window. Nothing was opened.",
        "Scanned before the window began.",
    ),
    I.COURIER_TOO_LATE: (
        "The delivery window is over.",
        f"The courier came after your delivery window. {_OTHER_WAY}",
        "Scanned after the window ended.",
    ),
    I.CARRIER_PARCEL_UNKNOWN: (
        "This label is not known.",
        "A parcel that is not known to us was scanned at your place. Nothing was opened.",
        "The scanned label belongs to no parcel that was booked.",
    ),
    I.CARRIER_PARCEL_OF_OTHER_STOP: (
        "This parcel is for another stop.",
        "A parcel for someone else was scanned at your place. Nothing was opened.",
        "The scanned parcel belongs to another stop.",
    ),
    I.CARRIER_PARCEL_DONE_ALREADY: (
        "This parcel is already recorded as delivered or sent elsewhere.",
        "A parcel that was already recorded as done was scanned again. Nothing was opened.",
        "The scanned parcel is already delivered or at its fallback.",
    ),
    I.CARRIER_STOP_ENDED: (
        "This stop has already ended.",
        "The courier came to a stop that had already ended. Nothing was opened.",
        "The stop is closed.",
    ),
    I.CARRIER_CANCELLED: (
        "This delivery was cancelled by your carrier.",
        "The carrier has cancelled this delivery. Nothing was opened.",
        "The carrier cancelled the stop.",
    ),
    I.CARRIER_NOBODY_CAME: (
        "The window of this stop is over, and you did not ask to open.",
        f"No courier came in your delivery window. {_OTHER_WAY}",
        "The window ended without a scan.",
    ),
    I.CONSIGNEE_REDIRECTED: (
        "The consignee wants this parcel delivered another way.",
        "This parcel goes the other way that your household has chosen.",
        "The household has redirected the stop to its fallback.",
    ),
    I.CONSIGNEE_BLOCKED: (
        "The recipient has blocked this delivery.",
        "You blocked the delivery.",
        "The consignee, or an operator for them, blocked the delivery.",
    ),
    I.CONSIGNEE_CONSENT_ENDED: (
        "The recipient's permission has ended.",
        f"Your permission to deliver here has ended. {_OTHER_WAY}",
        "The consignee's consent was not given or has ended.",
    ),
    I.CONSIGNEE_HOUR_NOT_ALLOWED: (
        "The recipient does not allow deliveries at this hour.",
        f"The courier came outside the hours you allow. {_OTHER_WAY}",
        "Outside the daily hours of the consent.",
    ),
    I.CONSIGNEE_CAR_OUT_OF_RANGE: (
        "The car is parked too far from the address.",
        f"Your car was parked too far from your address. {_OTHER_WAY}",
        "The car's own position is out of range of the address.",
    ),
    I.CONSIGNEE_CAR_MOVING: (
        "The car is moving.",
        f"Your car was moving when the courier came. {_OTHER_WAY}",
        "The reading shows the car in motion.",
    ),
    I.DEVICE_OPEN_ON_ARRIVAL: (
        "It is already open. Do not put the parcel in.",
        "The place was already open when the courier came. Please check it.",
        "Seen open before any unlock of ours.",
    ),
    I.DEVICE_UNLOCKED_ON_ARRIVAL: (
        "It is already unlocked. Do not put the parcel in.",
        "The place was already unlocked when the courier came. Please check it.",
        "Seen unlocked before any unlock of ours.",
    ),
    I.DEVICE_POSITION_UNKNOWN: (
        "The car does not say where it is.",
        f"Your car did not say where it was. {_OTHER_WAY}",
        "The reading bears no position.",
    ),
    I.DEVICE_NO_READING: (
        "The car or the door does not answer.",
        f"Your car or door did not answer in time. {_OTHER_WAY}",
        "No fresh or complete reading could be had in time.",
    ),
    I.DEVICE_ASLEEP: (
        "The car is asleep and does not answer.",
        f"Your car was asleep and did not answer. {_OTHER_WAY}",
        "The device is asleep.",
    ),
    I.DEVICE_CONSENT_LOST: (
        "The maker no longer lets us open this car or door.",
        "The maker no longer lets us in. Please link your car or door again.",
        "The maker refuses us: permission withdrawn, subscription ended or password changed.",
    ),
    I.DEVICE_SUBSCRIPTION_LAPSED: (
        "The car's connected service has ended, so it can't be opened.",
        f"Your car's connected service has ended. {_OTHER_WAY}",
        "The subscription of the car's connected service has lapsed.",
    ),
    I.DEVICE_CLOUD_OUTAGE: (
        "The maker's service is down.",
        f"The maker's service was down. {_OTHER_WAY}",
        "The device cloud is in outage.",
    ),
    I.DEVICE_QUOTA_USED_UP: (
        "The maker's service takes no more requests just now.",
        "The maker's service took no more requests for a while.",
        "The quota at the device cloud is used up.",
    ),
    I.DEVICE_LOCK_NOT_READABLE: (
        "This lock can't be checked, so it may not be opened.",
        f"Your lock can't be checked from afar, so it was not opened. {_OTHER_WAY}",
        "The lock can't be read, and the programme does not allow that.",
    ),
    I.DEVICE_CAMERA_NOT_PROVEN: (
        "The camera is not recording, so the door may not be opened.",
        f"Your camera was not recording, so your door was not opened. {_OTHER_WAY}",
        "No proof of recording before the unlock.",
    ),
    I.DEVICE_CAMERA_OFFLINE: (
        "The camera there can't be reached, so the door may not be opened.",
        f"Your camera could not be reached, so your door was not opened. {_OTHER_WAY}",
        "No camera of the place sends a picture.",
    ),
    I.DEVICE_CAMERA_NOT_ENROLLED: (
        "The camera there was not checked, so the door may not be opened.",
        f"No camera of yours was shown to see the door, or its monthly check is overdue. {_OTHER_WAY}",
        "No camera of the place is enrolled as a witness, or its check is overdue.",
    ),
    I.CONSIGNEE_SECOND_BOLT: (
        "The door is bolted from inside.",
        f"Your door was bolted from inside, so it could not be opened. {_OTHER_WAY}",
        "A second bolt is thrown: someone shut the door from inside.",
    ),
    I.CONSIGNEE_ALARM_ARMED: (
        "An alarm is armed there, so the door may not be opened.",
        f"Your alarm was armed, so your door was not opened. {_OTHER_WAY}",
        "The alarm of the place is armed.",
    ),
    I.CONSIGNEE_PET_LOOSE: (
        "An animal could run out, so the door may not be opened.",
        f"You said that an animal could run out, so your door was not opened. {_OTHER_WAY}",
        "The consignee said that an animal could run out.",
    ),
    I.PLATFORM_PLACE_BUSY: (
        "Another delivery is under way at this place.",
        "Another delivery is under way at your place.",
        "Another visit lives at this access point.",
    ),
    I.PLATFORM_PLACE_STILL_WATCHED: (
        "This place is still being watched after an earlier visit.",
        f"Your place was still being watched after an earlier visit. {_OTHER_WAY}",
        "An earlier unlock may still take effect: no new grant until that is over.",
    ),
    I.PLATFORM_PLACE_FROZEN: (
        "This place is on hold.",
        f"Deliveries to this place are on hold. {_OTHER_WAY}",
        "The access point is frozen.",
    ),
    I.PLATFORM_COURIER_FROZEN: (
        "You can't open anything for now.",
        f"This courier can't open anything for now. {_OTHER_WAY}",
        "This courier is frozen by an operator.",
    ),
    I.PLATFORM_FROZEN_WIDELY: (
        "Deliveries like this one are on hold for now.",
        f"Deliveries like yours are on hold for now. {_OTHER_WAY}",
        "The maker's cloud, the area or everything is frozen by an operator.",
    ),
    I.COURIER_GAVE_UP: (
        "You said that you could not deliver.",
        "The courier could not deliver and keeps your parcel.",
        "The courier said could-not.",
    ),
    I.PLATFORM_TOO_SLOW: (
        "It took us too long. Nothing was opened.",
        "We were too slow. Nothing was opened.",
        "The decision or the grant ran out of time before the gate.",
    ),
    I.PLATFORM_RESTORED: (
        "Our system failed and may have lost its last moments. Please check that it is shut.",
        "Our system failed during your delivery and may have lost its last moments. Please check your car or door.",
        "The fence was raised. An unlock may have left in the time that was lost: look at the place.",
    ),
    I.DEVICE_COMMAND_NOT_SENT: (
        "The request to unlock did not leave. Nothing was opened.",
        "The request to unlock did not reach your car or door. Nothing was opened.",
        "The unlock was surely not sent.",
    ),
    I.CONSIGNEE_AT_HOME: (
        "Someone is at home and came to the door.",
        "Someone came to the door, so we opened nothing.",
        "Someone at home came to the door before our unlock.",
    ),
    I.CONSIGNEE_OPENED_FIRST: (
        "Someone else opened or unlocked it first. Do not put the parcel in.",
        "It was opened or unlocked before the courier could, so we opened nothing.",
        "Seen open or unlocked before our unlock passed the gate.",
    ),
    I.CONSIGNEE_DROVE_OFF: (
        "The car is moving away. Stay clear of it.",
        "Your car moved during the delivery.",
        "The car moved or left its place during the visit.",
    ),
    I.DEVICE_UNLOCK_FAILED: (
        "The maker's service says that it did not unlock.",
        "The maker's service says that your car or door did not unlock.",
        "The cloud says the unlock failed; it may open all the same.",
    ),
    I.DEVICE_UNLOCK_UNKNOWN: (
        "Nobody can say yet whether it unlocked.",
        "It is not known yet whether your car or door unlocked. We keep watching it.",
        "The unlock may have happened: its end is unknown.",
    ),
    I.DEVICE_NOT_OPENED: (
        "It was not opened in time.",
        "Your car or door was not opened in time.",
        "The cloud said unlocked; never opened.",
    ),
    I.DEVICE_RELOCKED_UNOPENED: (
        "It locked itself again before it was opened.",
        "It locked itself again before the courier opened it.",
        "Seen locked again, never seen open.",
    ),
    I.DEVICE_LOCK_FAILED: (
        "The lock did not close.",
        "The lock did not close at once. The courier was asked to help.",
        "The order to lock failed or had no effect in time.",
    ),
    I.DEVICE_NOT_SEEN_LOCKED: (
        "It has not been seen locked. Stay until you are called.",
        "Your car or door has not been seen locked. Please check it.",
        "Not seen locked in time. Call courier and consignee.",
    ),
    I.DEVICE_RECORDING_LOST: (
        "The recording has stopped. Please step out.",
        "The recording stopped during the delivery. We are looking into it.",
        "The recording had a gap; the visit can't end as clean.",
    ),
    I.DEVICE_LATE_UNLOCK: (
        "The place you visited was seen unlocked after you left.",
        "Your car or door was seen unlocked or open after the delivery. We ordered the lock. Please check it.",
        "Seen unlocked or open after the end of the visit. Lock ordered; call the consignee.",
    ),
    I.DEVICE_UNREADABLE_AFTERWARDS: (
        "The place you visited could not be checked afterwards.",
        "We could not check your car or door after the delivery. Please check it.",
        "The closure could not be read when a late unlock was no longer possible.",
    ),
    I.COURIER_SILENT_WHILE_OPEN: (
        "It has been open for too long. Please close it.",
        "It stayed open for too long. We are calling the courier.",
        "Open for too long, and no word from the courier.",
    ),
    I.COURIER_PARCEL_UNACCOUNTED: (
        "You have not said where the parcel is.",
        "The courier has not yet said where your parcel is. We are asking.",
        "Nobody has said where the parcel is: a ruling is needed.",
    ),
    I.PLATFORM_RULED: (
        "An operator has decided how this visit ended.",
        "Our staff has decided how this visit ended.",
        "An operator ruled how this visit ended.",
    ),
}

NEXT_STEPS: Mapping[NextStep, str] = {
    N.WAIT: "Please wait a moment.",
    N.TRY_HANDLE: "Try the handle and open.",
    N.PUT_PARCEL_IN: "Put the parcel in and take a photo.",
    N.CLOSE_LID: "Please close it now.",
    N.CLOSE_FIRMLY_AND_PULL: "Close it firmly and pull the handle.",
    N.PULL_HANDLE: "Pull the handle and say whether it stays shut.",
    N.SAY_WHERE_PARCEL_IS: "Say where the parcel is: inside, or with you.",
    N.STAY_UNTIL_OPERATOR_CALLS: "Please stay. An operator will call you.",
    N.GO_ON: "Go on to the next stop.",
    N.GO_NEARER: "Go nearer and scan again.",
    N.COME_BACK_IN_WINDOW: "Come back within the delivery window.",
    N.RING_AND_WAIT: "Ring or knock, and wait a moment.",
    N.HAND_OVER: "Hand the parcel over, or say that you could not.",
    N.STEP_OUT_AND_CLOSE: "Step out and close the door. Then wait for our call.",
    N.SCAN_RIGHT_PARCEL: "Scan the parcel of this stop.",
    N.FINISH_OTHER_VISIT: "Finish your other visit first.",
    N.TRY_AGAIN_SOON: "Try again in a minute.",
    N.TAKE_FALLBACK: "Deliver it the other way shown for this stop.",
    N.ASK_CARRIER: "Ask your dispatcher.",
}

_SAID_NOT_SEEN = (
    "the maker's service says it is locked and the courier pulled the handle; the lock itself was not seen"
)

STATES: Mapping[State, tuple[str, str, str]] = {
    S.REQUESTED: ("Checking", "The courier is at your place.", "Waiting for a reading and the decision"),
    S.RINGING: ("Ring and wait", "The courier is ringing at your door.", "The courier rings and waits"),
    S.ANSWERED: (
        "Someone came to the door",
        "Someone came to the door.",
        "Someone came; handing over or not",
    ),
    S.PROVING: ("Checking the camera", "Your camera is being checked.", "Waiting for proof of recording"),
    S.GRANTED: ("Allowed; about to unlock", "The courier is about to open.", "Granted; gate not passed"),
    S.UNLOCKING: ("Unlocking", "It is being unlocked.", "An unlock may be on its way"),
    S.IN_DOUBT: (
        "Not sure that it unlocked",
        "It is not sure that it unlocked.",
        "End of the unlock unknown",
    ),
    S.READY: ("It should open now", "The courier can open now.", "The cloud says unlocked; not seen"),
    S.UNLOCKED: ("Unlocked", "It is unlocked; the courier is about to open.", "Seen unlocked"),
    S.OPEN: ("Open", "It is open; the courier is putting your parcel in.", "Open"),
    S.OPEN_LONG: ("Open for long", "It is still open. The courier was reminded.", "Open for too long"),
    S.CLOSED: (
        "Closed; about to lock",
        "It is closed and about to be locked.",
        "Closed; lock not yet ordered",
    ),
    S.LOCKING: ("Locking", "It is being locked.", "Lock ordered; not seen"),
    S.STUCK: ("The lock did not close", "The lock did not close. The courier is helping.", "The lock failed"),
    S.LOCKING_AGAIN: ("Locking again", "It is being locked again.", "Lock ordered a second time"),
    S.HANDLE_CHECK: ("Checking the handle", "The courier is checking the handle.", "Waiting for the handle"),
    S.UNSECURED: (
        "Not seen locked",
        "It has not been seen locked. We are on it and will call you.",
        "Not seen locked in time: call",
    ),
    S.ACCOUNTING: (
        "Where is the parcel?",
        "The courier is about to say where your parcel is.",
        "Waiting for the courier to say where the parcel is",
    ),
    S.REVIEW: (
        "An operator is looking into it",
        "We are finding out where your parcel is.",
        "A ruling is needed: where is the parcel?",
    ),
    S.REFUSED: (
        "Not opened",
        f"Nothing was opened. {_OTHER_WAY}",
        "Refused: no unlock left",
    ),
    S.HANDED_OVER: (
        "Handed over",
        "Your parcel was handed over at the door. Nothing was opened by us.",
        "Handed over to someone at the door; no unlock left",
    ),
    S.DELIVERED: (
        "Delivered and seen locked",
        "Your parcel is inside, and it was seen locked afterwards.",
        "Delivered; seen locked",
    ),
    S.DELIVERED_LOCK_NOT_SEEN: (
        f"Delivered: {_SAID_NOT_SEEN}.",
        f"Your parcel is inside: {_SAID_NOT_SEEN}. Please check it.",
        f"Delivered: {_SAID_NOT_SEEN}.",
    ),
    S.UNDELIVERED: (
        "Not delivered",
        "Your parcel was not delivered here. The courier has it.",
        "Not delivered; the parcel is with the courier",
    ),
    S.UNDELIVERED_LOCK_NOT_SEEN: (
        f"Not delivered: {_SAID_NOT_SEEN}.",
        f"Your parcel was not delivered here. About the lock: {_SAID_NOT_SEEN}. Please check it.",
        f"Not delivered: {_SAID_NOT_SEEN}.",
    ),
    S.RULED_DELIVERED: (
        "Delivered, by an operator's ruling",
        "Our staff found that your parcel was delivered.",
        "Ruled as delivered",
    ),
    S.RULED_UNDELIVERED: (
        "Not delivered, by an operator's ruling",
        "Our staff found that your parcel was not delivered.",
        "Ruled as not delivered",
    ),
}

FACTS: Mapping[Fact, str] = {
    F.GRANTED: "All checks passed",
    F.DENIED: "A check failed: not opened",
    F.RECORDING_PROVEN: "The camera proved that it records",
    F.RECORDING_NOT_PROVEN: "The camera did not prove that it records",
    F.RECORDING_LOST: "The recording was lost",
    F.GATE_PASSED: "The unlock was cleared to leave",
    F.GATE_SHUT: "The unlock was stopped at the last moment",
    F.RESTORED: "The platform was restored: this is not opened, and is watched",
    F.UNLOCK_SAID_DONE: "The maker's service says: unlocked",
    F.UNLOCK_REJECTED: "The maker's service says: unlock failed",
    F.UNLOCK_NOT_SENT: "The unlock was not sent",
    F.UNLOCK_UNKNOWN: "The maker's service did not say whether it unlocked",
    F.LOCK_SAID_DONE: "The maker's service says it is locked",
    F.LOCK_FAILED: "The lock failed",
    F.SEEN_LOCKED: "Seen locked",
    F.SEEN_CLOSED: "Seen closed, not locked",
    F.SEEN_OPEN: "Seen open",
    F.SEEN_LOCKED_FOR_GOOD: "Seen locked, and no late unlock can come any more",
    F.DROVE_OFF: "The car moved away",
    F.COURIER_RANG: "The courier rang or knocked",
    F.COURIER_MET_SOMEONE: "The courier says: someone came to the door",
    F.COURIER_HANDED_OVER: "The courier says: handed over",
    F.COURIER_OPENED: "The courier says: opened",
    F.COURIER_DEPOSITED: "The courier says: parcel inside",
    F.COURIER_CLOSED: "The courier says: closed",
    F.COURIER_PULLED_HANDLE: "The courier pulled the handle: it stays shut",
    F.COURIER_GAVE_UP: "The courier says: could not deliver",
    F.BLOCKED: "Blocked",
    F.CLOCK_RAN_OUT: "The time for this step ran out",
    F.PATIENCE_RAN_OUT: "Not seen locked for too long: a person is called",
    F.RULED_DELIVERED: "An operator ruled: delivered",
    F.RULED_UNDELIVERED: "An operator ruled: not delivered",
}

KINDS: Mapping[Kind, str] = {
    K.FACT: "Fact",
    K.DECISION: "Decision",
    K.ORDER: "Order",
    K.OUTCOME: "Outcome",
    K.READING: "Reading",
    K.LOOK: "Someone looked",
    K.CALL: "Someone was called",
    K.NOTE: "Note",
}
