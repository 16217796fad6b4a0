"""Which language a page speaks, and how it says times, distances and numbers in it.

The texts stand in templates and code in English; the catalogues in `locale/<language>/` (one for each app, and one that
is shared) have the others, read once at the start; no compiled file is kept. A text without a translation is found by a
test, not by a reader.
"""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

from babel import Locale, negotiate_locale
from babel.dates import format_date, format_datetime, format_time, format_timedelta
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

LANGUAGES = ("en", "fr")


def read_catalogue(language: str, name: str) -> list[Message]:
    """The texts of one file."""
    with (resources.files("unlatch") / "locale" / language / name).open("rb") as file:
        return [message for message in read_po(file, locale=language) if message.id]


@cache
def translations(language: str) -> NullTranslations | Translations:
    """The texts of a language."""
    if language == "en":
        return NullTranslations()
    catalogue = Catalog(locale=language)
    folder = resources.files("unlatch") / "locale" / language
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        for message in read_catalogue(language, path.name):
            catalogue[message.id] = message
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def choose_language(profile: str | None, wanted: str | None, accepts: str) -> str:
    """By what was chosen on this page, else by the profile, else by the browser."""
    for one in (wanted, profile):
        if one in LANGUAGES:
            return str(one)
    asked = [part.partition(";")[0].strip().replace("-", "_") for part in accepts.split(",")][:10]
    return negotiate_locale(asked, LANGUAGES, sep="_") or "en"


class Speech:
    """One reader's language and time zone."""

    def __init__(self, language: str, zone: str = "UTC") -> None:
        self.language = language
        self.locale = Locale.parse({"en": "en_US", "fr": "fr_FR"}[language])
        self.zone = ZoneInfo(zone)
        self._texts = translations(language)

    def text(self, message: str, **values: object) -> str:
        """A text, with its values put in."""
        said = self._texts.gettext(message)
        return said % values if values else said

    def texts(self, one: str, many: str, count: int, **values: object) -> str:
        """The same in the right number."""
        return self._texts.ngettext(one, many, count) % {"count": count, **values}

    def time(self, at: datetime, *, seconds: bool = False) -> str:
        """The time of day where it happened."""
        return format_time(at.astimezone(self.zone), "medium" if seconds else "short", locale=self.locale)

    def day(self, at: datetime) -> str:
        """The day, in words."""
        return format_date(at.astimezone(self.zone), "full", locale=self.locale)

    def moment(self, at: datetime) -> str:
        """Day and time."""
        return format_datetime(at.astimezone(self.zone), "medium", locale=self.locale)

    def ago(self, at: datetime, now: datetime) -> str:
        """How long ago, or in how long."""
        span = at - now
        return format_timedelta(span, add_direction=True, locale=self.locale)

    def span(self, span: timedelta) -> str:
        """A length of time."""
        return format_timedelta(span, locale=self.locale)

    def distance(self, metres: float) -> str:
        """Feet and miles where people count so, else metres and kilometres."""
        if self.language == "en":
            feet = metres / 0.3048
            if feet < 1000:
                return f"{format_decimal(round(feet, -1), locale=self.locale)} ft"
            return f"{format_decimal(round(feet / 5280, 1), locale=self.locale)} mi"
        if metres < 1000:
            return f"{format_decimal(round(metres, -1), locale=self.locale)} m"
        return f"{format_decimal(round(metres / 1000, 1), locale=self.locale)} km"

    def number(self, value: float) -> str:
        """A number."""
        return format_decimal(value, locale=self.locale)
