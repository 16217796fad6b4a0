"""When a home is rung at, and how its form is called."""

from __future__ import annotations

from datetime import time

import pytest

from unlatch.domain.home import FORM_TEXTS, Form, HomeSettings, form_text
from unlatch.domain.wording import Language

NIGHT = HomeSettings(form=Form.DOOR, quiet_from=time(20), quiet_until=time(7, 30))
NOON = HomeSettings(form=Form.DOOR, quiet_from=time(12), quiet_until=time(14))


@pytest.mark.parametrize(
    ("settings", "local", "rings"),
    [
        (HomeSettings(form=Form.DOOR), time(3), True),
        (HomeSettings(form=Form.DOOR, rings_first=False), time(12), False),
        (NIGHT, time(19, 59, 59), True),
        (NIGHT, time(20), False),
        (NIGHT, time(0), False),
        (NIGHT, time(7, 29, 59), False),
        (NIGHT, time(7, 30), True),
        (NOON, time(11, 59), True),
        (NOON, time(12), False),
        (NOON, time(14), True),
    ],
)
def test_nobody_rings_in_the_quiet_hours_across_midnight_too(
    settings: HomeSettings, local: time, rings: bool
) -> None:
    assert settings.rings_at(local) is rings


def test_every_form_has_its_text_in_both_languages() -> None:
    assert set(FORM_TEXTS) == set(Form)
    assert all(form_text(form, Language.ENGLISH) != form_text(form, Language.FRENCH) for form in Form)
