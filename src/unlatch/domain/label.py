"""What the courier scanned: a symbol becomes a label with a parcel's key, or a fault with a name.

A `Symbol` is what a reader gives (a camera, a hand-held scanner, a keyboard): an ISO/IEC 15424 symbology
identifier such as "]C1" where the reader knows it, and the data. `read_label` never raises.

GS1 element strings are cut with biip's table of application identifiers and checked here, because biip gives
a parsed message even for a wrong SSCC check digit, and reads the clock to guess the century of a date.
Digital Link: GS1 Digital Link Standard, URI Syntax 1.2 (January 2021), uncompressed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, auto
from itertools import islice, pairwise

from biip import ParseError
from biip.gs1_application_identifiers import GS1ApplicationIdentifier

from unlatch.domain.label_formats import FORMATS, SEPARATOR, SLIPPED, TRUNCATED, LabelKind, has_mod10_check

MAX_SYMBOL_BYTES = 512
MAX_SYMBOLS = 32  # looked at in one picture; a shipping label has about four
MAX_ELEMENTS = 32  # application identifiers in one symbol
MIN_PART = 6  # characters of an expected number that are enough to call it that number, cut off
GS1_SYMBOLOGIES = frozenset({"]C1", "]Q3", "]d2", "]e0", "]J1"})
ARTICLE_SYMBOLOGIES = ("]E", "]I", "]X")  # EAN/UPC, ITF: what is for sale, never a transport unit
# Other keys of GS1 that a symbol may carry instead of an SSCC: articles, locations, assets, consignments.
OTHER_KEYS = frozenset(("01", "02", "253", "255", "401", "402", "414", "417", "420", "421")) | frozenset(
    ("8003", "8004", "8006", "8010", "8013", "8017", "8018")
)
_ADDRESS = re.compile(r"https?://(?P<host>[^/?#]*)(?P<path>[^?#]*)\??(?P<query>[^#]*)", re.IGNORECASE)
# What people put between groups of digits: spaces of any width, joiners, hyphens.
_TYPED_GAPS = re.compile(r"[ \t\r\n\u00a0\u2000-\u2015\u202f\u2060\u3000\ufeff-]")


class LabelFault(StrEnum):
    """Why a symbol gives no parcel. `FAULT_TEXTS` has the courier's words for each."""

    # In the order of use to the courier: of several symbols' faults, the first is told.
    CHECK_DIGIT = auto()  # a format we know, but its check digit is wrong: damaged, misprinted or mistyped
    TRUNCATED = auto()  # the beginning of a format we know; the rest is missing
    AMBIGUOUS = auto()  # several formats fit and give different parcels
    COMPRESSED_LINK = auto()  # a compressed GS1 Digital Link, which we don't read
    SEVERAL_LABELS = auto()  # several parcels' labels in one picture
    NOT_TRANSPORT_UNIT = auto()  # an article, a postcode, a consignment: not one parcel
    FOREIGN = auto()  # well readable, but no format we know
    TOO_LONG = auto()  # more data than any label carries
    UNREADABLE = auto()  # no symbol at all


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultText:
    """What the courier reads: what is wrong, and what to do now."""

    text_en: str
    text_fr: str
    remedy_en: str
    remedy_fr: str


_TYPE_EN = "Scan it again; if that fails, type the number printed under the barcode."
_TYPE_FR = "Scannez à nouveau ; sinon, saisissez le numéro imprimé sous le code-barres."

FAULT_TEXTS: dict[LabelFault, FaultText] = {
    LabelFault.CHECK_DIGIT: FaultText(
        text_en="This number does not add up: a digit is damaged or mistyped.",
        text_fr="Ce numéro est incohérent : un chiffre est abîmé ou mal saisi.",
        remedy_en=_TYPE_EN,
        remedy_fr=_TYPE_FR,
    ),
    LabelFault.TRUNCATED: FaultText(
        text_en="Part of this number is missing.",
        text_fr="Il manque une partie de ce numéro.",
        remedy_en="Scan the whole barcode; if it is torn, type the whole number printed on the label.",
        remedy_fr="Scannez le code-barres entier ; s'il est déchiré, saisissez le numéro entier.",
    ),
    LabelFault.FOREIGN: FaultText(
        text_en="This is not a parcel number of a carrier we know.",
        text_fr="Ce n'est pas un numéro de colis d'un transporteur connu.",
        remedy_en="Look for another barcode on the parcel: the carrier's own shipping label.",
        remedy_fr="Cherchez un autre code-barres sur le colis : l'étiquette de transport.",
    ),
    LabelFault.AMBIGUOUS: FaultText(
        text_en="This number can be read in more than one way.",
        text_fr="Ce numéro peut se lire de plusieurs façons.",
        remedy_en="Scan the barcode instead of typing, or scan another barcode of the same label.",
        remedy_fr="Scannez le code-barres au lieu de saisir, ou un autre code de la même étiquette.",
    ),
    LabelFault.SEVERAL_LABELS: FaultText(
        text_en="There are labels of several parcels in this picture.",
        text_fr="Les étiquettes de plusieurs colis sont sur cette image.",
        remedy_en="Put one parcel alone before the camera and scan again.",
        remedy_fr="Placez un seul colis devant l'appareil et scannez à nouveau.",
    ),
    LabelFault.NOT_TRANSPORT_UNIT: FaultText(
        text_en="This barcode names an article or an address, not a parcel.",
        text_fr="Ce code-barres désigne un article ou une adresse, pas un colis.",
        remedy_en="Scan the shipping label, not the product's or the postcode's barcode.",
        remedy_fr="Scannez l'étiquette de transport, pas le code du produit ni du code postal.",
    ),
    LabelFault.COMPRESSED_LINK: FaultText(
        text_en="This QR code holds a compressed GS1 link, which is not supported.",
        text_fr="Ce code QR contient un lien GS1 compressé, non pris en charge.",
        remedy_en="Scan the long barcode of the label, or type the number under it.",
        remedy_fr="Scannez le code-barres long de l'étiquette ou saisissez son numéro.",
    ),
    LabelFault.TOO_LONG: FaultText(
        text_en="This code holds more than any parcel label does.",
        text_fr="Ce code contient plus qu'aucune étiquette de colis.",
        remedy_en="Look for another barcode on the parcel: the carrier's own shipping label.",
        remedy_fr="Cherchez un autre code-barres sur le colis : l'étiquette de transport.",
    ),
    LabelFault.UNREADABLE: FaultText(
        text_en="No barcode could be read in this picture.",
        text_fr="Aucun code-barres lisible sur cette image.",
        remedy_en="Hold the phone parallel and closer, add light; or type the number printed on the label.",
        remedy_fr="Rapprochez le téléphone, à plat, avec plus de lumière ; ou saisissez le numéro.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """What a reader gives. Typed text has no symbology identifier."""

    data: bytes | str
    symbology_identifier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A parcel's number, well read. `further`: the other application identifiers and values, in order."""

    kind: LabelKind
    key: str
    further: tuple[tuple[str, str], ...] = ()

    @property
    def number(self) -> str:
        """The number without its scheme, as a person reads it."""
        return self.key.partition(":")[2]


def read_label(symbol: Symbol, *, expected_keys: frozenset[str] = frozenset()) -> Label | LabelFault:
    """The label that one symbol carries. `expected_keys` decides only where a number fits several formats."""
    data, symbology = _get_text(symbol)
    if isinstance(data, LabelFault):
        return data
    if address := _ADDRESS.match(data):
        return _read_digital_link(address)
    if symbology is not None and symbology.startswith(ARTICLE_SYMBOLOGIES):
        return LabelFault.NOT_TRANSPORT_UNIT
    is_gs1 = symbology in GS1_SYMBOLOGIES
    if data.startswith("("):  # as printed for people: (00)340123450000000017(401)A1
        data = re.sub(r"\((\d{2,4})\)", rf"{SEPARATOR}\1", data, flags=re.ASCII).strip(SEPARATOR)
        is_gs1 = True
    elements = _read_elements(data) if is_gs1 or data.startswith("00") else None
    if elements is not None and any(name == "00" for name, _ in elements):
        return _read_unit(elements, LabelKind.GS1_128_SSCC)
    found = _read_number(data, expected_keys, is_gs1=is_gs1)
    if found is LabelFault.FOREIGN:
        if is_gs1 and elements is not None:
            return LabelFault.NOT_TRANSPORT_UNIT
        is_part = len(data) >= MIN_PART and any(data in key for key in expected_keys)
        is_slip = symbology is None and SLIPPED.fullmatch(data)
        return LabelFault.TRUNCATED if is_part or is_slip else found
    return found


def read_picture_label(
    symbols: Iterable[Symbol], *, expected_keys: frozenset[str] = frozenset()
) -> Label | LabelFault:
    """The one label among all symbols of a picture.

    A shipping label carries several symbols; those that name no parcel are passed over once one does. Of
    several parcels' labels, the one that is expected is taken if it is the only such one. Without any label,
    the fault that helps the courier most is given.
    """
    ends = [read_label(symbol, expected_keys=expected_keys) for symbol in islice(symbols, MAX_SYMBOLS)]
    labels = {end.key: end for end in reversed(ends) if isinstance(end, Label)}
    if len(labels) > 1:
        expected = [label for key, label in labels.items() if key in expected_keys]
        return expected[0] if len(expected) == 1 else LabelFault.SEVERAL_LABELS
    if labels:
        return next(iter(labels.values()))
    faults = [end for end in ends if isinstance(end, LabelFault)]
    return min(faults, key=list(LabelFault).index, default=LabelFault.UNREADABLE)


def _get_text(symbol: Symbol) -> tuple[str | LabelFault, str | None]:
    """The data as plain ASCII, and the symbology identifier (hand-held scanners send it in the data)."""
    data = symbol.data
    if len(data) > MAX_SYMBOL_BYTES:
        return LabelFault.TOO_LONG, None
    text = data.decode("utf-8", errors="replace") if isinstance(data, bytes) else data
    text = text.strip(" \t\r\n\0")
    symbology = symbol.symbology_identifier
    prefix = re.match(r"\][A-Za-z][0-9A-Za-z]", text, re.ASCII)
    if prefix and symbology in (None, prefix[0]):
        symbology, text = prefix[0], text[3:]
    text = text.strip(SEPARATOR)  # FNC1 in front only says "GS1"; behind it says nothing
    if symbology not in GS1_SYMBOLOGIES and not _ADDRESS.match(text):
        # A value in parentheses may itself have hyphens and small letters; a bare number has none.
        text = text.replace(" ", "") if text.startswith("(") else _TYPED_GAPS.sub("", text).upper()
    if not text:
        return LabelFault.UNREADABLE, symbology
    return (text if text.isascii() else LabelFault.FOREIGN), symbology


def _read_elements(data: str) -> list[tuple[str, str]] | None:
    """The application identifiers and values of an element string; None if it is none."""
    elements: list[tuple[str, str]] = []
    while data and len(elements) < MAX_ELEMENTS:
        try:
            identifier = GS1ApplicationIdentifier.extract(data)
        except ParseError:
            return None
        field = data.partition(SEPARATOR)[0]
        found = re.match(identifier.pattern.rstrip("$"), field, re.ASCII)
        if found is None or (identifier.separator_required and found.end() != len(field)):
            return None
        elements.append((identifier.ai, field[len(identifier.ai) : found.end()]))
        data = data[found.end() :].removeprefix(SEPARATOR)
    return elements if not data else None


def _read_unit(elements: list[tuple[str, str]], kind: LabelKind) -> Label | LabelFault:
    """The transport unit that the elements name; all others are kept beside it."""
    units = {value for name, value in elements if name == "00"}
    if len(units) != 1:
        return LabelFault.SEVERAL_LABELS
    unit = units.pop()
    if not has_mod10_check(unit):
        return LabelFault.CHECK_DIGIT
    return Label(kind=kind, key=f"sscc:{unit}", further=tuple(pair for pair in elements if pair[0] != "00"))


def _read_number(data: str, expected_keys: frozenset[str], *, is_gs1: bool) -> Label | LabelFault:
    """The label of a number that stands alone, by the table of formats."""
    forms = (form for form in FORMATS if form.is_in_gs1 or not is_gs1)
    fits = [(form, found) for form in forms if (found := form.pattern.fullmatch(data))]
    labels: dict[str, Label] = {}
    for form, found in fits:
        number = form.lead + found["number"]
        if form.is_valid(number):
            key = f"{form.scheme}:{number.removeprefix(form.trim)}"
            postcode = found.groupdict().get("postcode")
            label = Label(kind=form.kind, key=key, further=(("420", postcode),) if postcode else ())
            labels.setdefault(key, label)
    if len(labels) > 1:
        expected = [label for key, label in labels.items() if key in expected_keys]
        return expected[0] if len(expected) == 1 else LabelFault.AMBIGUOUS
    if labels:
        return next(iter(labels.values()))
    if fits:
        return LabelFault.CHECK_DIGIT
    if not is_gs1 and re.fullmatch(r"\d{8}|\d{13,14}", data, re.ASCII) and has_mod10_check(data):
        return LabelFault.NOT_TRANSPORT_UNIT  # a GTIN: an article
    return LabelFault.TRUNCATED if TRUNCATED.fullmatch(data) else LabelFault.FOREIGN


def _read_digital_link(address: re.Match[str]) -> Label | LabelFault:
    """The SSCC in a web address of any domain; other identifiers may stand in its path or its query."""
    segments = [_unquote(segment) for segment in address["path"].split("/") if segment]
    pairs = list(pairwise(segments))
    starts = [place for place, (name, value) in enumerate(pairs) if name == "00" and value[:1].isdecimal()]
    if not starts:
        return _name_foreign_link(address["host"].lower(), segments, pairs)
    # The domain's own folders may come first: the last "00" that a number follows is the key.
    unit = pairs[starts[-1]][1]
    if not re.fullmatch(r"\d{18}", unit, re.ASCII):
        return LabelFault.TRUNCATED if re.fullmatch(r"\d{1,17}", unit, re.ASCII) else LabelFault.FOREIGN
    query = [field.partition("=") for field in re.split("[&;]", address["query"])]
    asked = [(_unquote(name), _unquote(value)) for name, _, value in query]
    further = [*pairs[starts[-1] + 2 :: 2], *asked][:MAX_ELEMENTS]
    kept = [(name, value) for name, value in further if _is_element(name, value)]
    return _read_unit([("00", unit), *kept], LabelKind.GS1_DIGITAL_LINK)


def _unquote(text: str) -> str:
    """Percent-encoding undone byte by byte: what is not ASCII fits no identifier and may stay odd."""
    return re.sub("%([0-9A-Fa-f]{2})", lambda code: chr(int(code[1], 16)), text)


def _is_element(name: str, value: str) -> bool:
    """Whether this is an application identifier with a fitting value, not the domain's own parameter."""
    if not re.fullmatch(r"\d{2,4}", name, re.ASCII) or not value.isascii() or not value.isprintable():
        return False
    return _read_elements(name + value) == [(name, value)]


def _name_foreign_link(host: str, segments: list[str], pairs: list[tuple[str, str]]) -> LabelFault:
    """Why an address names no transport unit."""
    if any(name in OTHER_KEYS and _is_element(name, value) for name, value in pairs):
        return LabelFault.NOT_TRANSPORT_UNIT
    last = segments[-1] if segments else ""
    is_gs1 = host == "gs1.org" or host.endswith(".gs1.org")
    # An SSCC compressed alone: 8 bits of the identifier, all 0, and 60 bits of number, in base64url.
    is_unit = re.fullmatch(r"A[A-P][A-Za-z0-9_-]{10}", last, re.ASCII)
    if len(segments) == 1 and (is_unit or (is_gs1 and re.fullmatch(r"[A-Za-z0-9_-]{10,}", last, re.ASCII))):
        return LabelFault.COMPRESSED_LINK
    return LabelFault.FOREIGN
