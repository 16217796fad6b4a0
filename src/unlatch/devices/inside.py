"""What stands inside a home, as a hub that speaks Home Assistant's API tells it: second bolt, alarm, an animal; and its
bell. The entities are given in the link's form; what is not given, or is not told, is unknown.

| entity | says | means |
|---|---|---|
| second bolt: `lock.x` | locked / unlocked | thrown / withdrawn; anything else (jammed, under way) is not told |
| second bolt: `binary_sensor.x` of class lock | off / on | thrown / withdrawn |
| `alarm_control_panel.x` | disarmed | not armed |
| | armed_*, arming, pending, triggered, disarming | armed: a door that opens now sets it off, or has |
| animal: `binary_sensor.x`, `input_boolean.x` | on / off | could run out / shut away |
| bell: `button.x`, `input_button.x`, `script.x`, `switch.x` | | press, press, turn_on, turn_on |
"""

from __future__ import annotations

from collections.abc import Mapping

from unlatch.devices.base import FormField
from unlatch.devices.entities import State

OBJECT = "[a-z0-9_]{1,190}"
SECOND_BOLT, ALARM, PET, BELL = "second_bolt", "alarm", "pet", "bell"
ENTITIES = (SECOND_BOLT, ALARM, PET)  # that are read
FORM_FIELDS = (
    FormField(
        name=SECOND_BOLT,
        is_secret=False,
        is_required=False,
        pattern=rf"(?:lock|binary_sensor)\.{OBJECT}",
        meaning="a bolt that is thrown from inside: with it thrown nothing is opened",
    ),
    FormField(
        name=ALARM,
        is_secret=False,
        is_required=False,
        pattern=rf"alarm_control_panel\.{OBJECT}",
        meaning="while it is armed nothing is opened",
    ),
    FormField(
        name=PET,
        is_secret=False,
        is_required=False,
        pattern=rf"(?:binary_sensor|input_boolean)\.{OBJECT}",
        meaning="on while an animal could run out: then nothing is opened",
    ),
    FormField(
        name=BELL,
        is_secret=False,
        is_required=False,
        pattern=rf"(?:button|input_button|script|switch)\.{OBJECT}",
        meaning="is pressed, or turned on, when a courier stands at the door",
    ),
)
BELL_SERVICES = {"button": "press", "input_button": "press", "script": "turn_on", "switch": "turn_on"}
ALARMS = {"disarmed": False, **dict.fromkeys(("arming", "pending", "triggered", "disarming"), True)}
SWITCHES = {"on": True, "off": False}
BOLTS = {"locked": True, "unlocked": False}


def is_bolted(entity: str | None, state: State) -> bool | None:
    """Whether the second bolt is thrown; None: there is none, or it does not tell."""
    if entity is None:
        return None
    if entity.startswith("lock."):
        return BOLTS.get(state.word)
    is_free = SWITCHES.get(state.word)
    return None if is_free is None else not is_free


def told_inside(given: Mapping[str, str], states: Mapping[str, State]) -> dict[str, bool | None]:
    """The fields of a `Reading` that are about the inside. `states`: by the names of the form."""
    alarm = states.get(ALARM, State()).word
    return {
        "is_bolted_inside": is_bolted(given.get(SECOND_BOLT), states.get(SECOND_BOLT, State())),
        "is_alarm_armed": True if alarm.startswith("armed_") else ALARMS.get(alarm),
        "is_pet_loose": SWITCHES.get(states.get(PET, State()).word),
    }


def bell_service(bell: str) -> tuple[str, str]:
    """Which service rings it: the path behind /api/services/, and the entity."""
    domain = bell.partition(".")[0]
    return f"{domain}/{BELL_SERVICES[domain]}", bell
