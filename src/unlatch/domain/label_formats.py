"""The formats of parcel labels, as one table: what each looks like, how it checks itself, an example.

Sources, looked up in November 2026 (third-party copies; the carriers' own pages could not be reached):

* SSCC: GS1 General Specifications, AI (00) and 7.9, check digit modulo 10 with weights 3, 1 from the right.
* UPS 1Z: modified modulo 10, letters valued; described at answers.google.com, thread 207899, confirmed by the
  numbers in jkeen/tracking_number_data, couriers/ups.json.
* FedEx 12: weights 3, 1, 7 and modulo 11, same thread; Ground 15 and "96": FedEx Ground "Bar Code & Label
  Layout Specification" FY04.A; the 34 digits and the numbers: jkeen's couriers/fedex.json.
* FedEx SmartPost 20: the number of a USPS IMpb printed without its 92; the check digit counts the 92.
* USPS IMpb (22 and 26 digits, after an optional (420) ZIP or ZIP+4): Publication 199 as quoted by third
  parties; numbers from couriers/usps.json. Legacy 20 digits: with or without the 91 that the barcode carries.
* S10: Universal Postal Union, weights 8 6 4 2 3 5 9 7 and modulo 11; numbers from couriers/s10.json.
* Amazon TBA (US), TBC (Canada), TBM (Mexico): 12 digits, no check digit known; couriers/amazon.json.

A number that passes several rows with different keys is ambiguous. That can only happen to 34 digits that
begin with 420 and lack the separator after the ZIP: the three readings of a bare 20-digit number (as it is,
with 91, with 92) exclude each other, because the missing digits change its check sum.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, auto

SEPARATOR = "\x1d"  # FNC1 inside a GS1 symbol, as scanners transmit it


class LabelKind(StrEnum):
    GS1_128_SSCC = auto()  # an SSCC in a GS1 element string, on whatever carrier (QR, Data Matrix), or typed
    GS1_DIGITAL_LINK = auto()  # an SSCC in a web address
    UPS = auto()
    FEDEX = auto()
    USPS = auto()
    UPU_S10 = auto()  # any post of the world
    AMAZON_TBA = auto()


def has_mod10_check(digits: str) -> bool:
    """GS1's modulo 10: the sum with weights 1, 3, 1, 3 ... from the right is a multiple of 10."""
    return sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits))) % 10 == 0


def has_ups_check(code: str) -> bool:
    """1Z and 16 characters. Letters count A = 2, B = 3 ... modulo 10; every second one counts twice."""
    values = [int(sign) if sign.isdigit() else (ord(sign) - 63) % 10 for sign in code[2:]]
    total = sum(value * (2 if place % 2 else 1) for place, value in enumerate(values[:-1]))
    return -total % 10 == values[-1]


def has_fedex_mod11_check(digits: str) -> bool:
    """Weights 1, 3, 7 from the right of all but the last; the sum modulo 11, modulo 10, is the last."""
    total = sum(int(digit) * (1, 3, 7)[place % 3] for place, digit in enumerate(reversed(digits[:-1])))
    return total % 11 % 10 == int(digits[-1])


def has_s10_check(code: str) -> bool:
    """Two letters, eight digits, the check digit, two letters."""
    weights = (8, 6, 4, 2, 3, 5, 9, 7)
    total = sum(int(digit) * weight for digit, weight in zip(code[2:10], weights, strict=True))
    check = 11 - total % 11
    return {10: 0, 11: 5}.get(check, check) == int(code[10])


def has_no_check(_code: str) -> bool:
    """This format carries no check digit: every number that looks right is taken."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way to write a parcel's number. The pattern's group `number` is checked and becomes the key."""

    name: str
    kind: LabelKind
    scheme: str  # the key's part before the colon
    pattern: re.Pattern[str]
    is_valid: Callable[[str], bool]
    example: str
    lead: str = ""  # digits that the printed number leaves out; they count in the check and in the key
    trim: str = ""  # digits that the barcode adds in front of the printed number; not in the key
    is_in_gs1: bool = False  # may stand in a GS1 symbol, whose first digits are an application identifier


# The routing of a USPS barcode: AI 420, ZIP or ZIP+4, FNC1. Two rows where both lengths fit.
_ZIP5 = rf"(?:420(?P<postcode>\d{{5}}){SEPARATOR}?)?"
_ZIP9 = rf"420(?P<postcode>\d{{9}}){SEPARATOR}?"


def _row(
    kind: LabelKind,
    name: str,
    pattern: str,
    example: str,
    is_valid: Callable[[str], bool] = has_mod10_check,
    *,
    scheme: str | None = None,
    lead: str = "",
    trim: str = "",
    is_in_gs1: bool = False,
) -> Format:
    return Format(
        name=name,
        kind=kind,
        scheme=scheme or kind.value,
        pattern=re.compile(pattern, re.ASCII),
        is_valid=is_valid,
        example=example,
        lead=lead,
        trim=trim,
        is_in_gs1=is_in_gs1,
    )


def _gs1_row(kind: LabelKind, name: str, pattern: str, example: str) -> Format:
    return _row(kind, name, pattern, example, is_in_gs1=True)


_SSCC, _UPS, _FEDEX, _USPS = LabelKind.GS1_128_SSCC, LabelKind.UPS, LabelKind.FEDEX, LabelKind.USPS
_FEDEX_34 = "1001921334250001000300779017972697"
_20_DIGITS = rf"{_ZIP5}(?P<number>(?!00|420|9[1-6])\d{{20}})"

FORMATS: tuple[Format, ...] = (
    _row(_SSCC, "SSCC, bare", r"(?:00)?(?P<number>\d{18})", "340123450000000017", scheme="sscc"),
    _row(_UPS, "UPS 1Z", r"(?P<number>1Z[0-9A-Z]{15}\d)", "1Z5R89390357567127", has_ups_check),
    _row(_FEDEX, "FedEx Express 12", r"(?P<number>\d{12})", "986578788855", has_fedex_mod11_check),
    _row(_FEDEX, "FedEx Ground 15", r"(?P<number>\d{15})", "041441760228964"),
    _gs1_row(_FEDEX, "FedEx Ground 96", r"96\d{5}(?P<number>\d{15})", "9611020987654312345672"),
    _row(
        _FEDEX,
        "FedEx 34",
        r"(?:10|96)\d{18}(?P<number>\d{14})",
        _FEDEX_34,
        has_fedex_mod11_check,
        trim="00",
        is_in_gs1=True,
    ),
    _row(
        _FEDEX,
        "FedEx SmartPost 20",
        r"(?P<number>(?:61|74)\d{18})",
        "61299998820821171811",
        scheme="usps",
        lead="92",
    ),
    _gs1_row(_USPS, "USPS IMpb 22", rf"{_ZIP5}(?P<number>9[1-5]\d{{20}})", "9505511069605048600624"),
    _gs1_row(
        _USPS,
        "USPS IMpb 22, ZIP+4",
        rf"{_ZIP9}(?P<number>9[1-5]\d{{20}})",
        "4201002334249200190132607600833457",
    ),
    _gs1_row(_USPS, "USPS IMpb 26", rf"{_ZIP5}(?P<number>9[1-5]\d{{24}})", "92748931507708513018050063"),
    _gs1_row(
        _USPS,
        "USPS IMpb 26, ZIP+4",
        rf"{_ZIP9}(?P<number>9[1-5]\d{{24}})",
        "42010023342492748931507708513018050063",
    ),
    _row(_USPS, "USPS 20", _20_DIGITS, "03071790000523483741"),
    _row(_USPS, "USPS 20 without its 91", _20_DIGITS, "71969010756003077385", lead="91"),
    _row(
        LabelKind.UPU_S10,
        "UPU S10",
        r"(?P<number>[A-Z]{2}\d{9}[A-Z]{2})",
        "RB123456785US",
        has_s10_check,
        scheme="s10",
    ),
    _row(
        LabelKind.AMAZON_TBA,
        "Amazon TBA",
        r"(?P<number>TB[ACM]\d{12})",
        "TBA502887274000",
        has_no_check,
        scheme="amazon",
    ),
)

# Beginnings that belong to one format alone, followed by less than it needs: the number was cut off.
TRUNCATED = re.compile(
    r"1Z[0-9A-Z]{2,15}"
    r"|TB[ACM]\d{1,11}"
    r"|[A-Z]{2}\d{9}[A-Z]?"
    r"|(?:RR|RB|RA|CP|CX|EA|EE|EX|LZ|VV)\d{4,8}"
    r"|00\d{6,17}"
    r"|9[1-6]\d{9,21}|9[1-6]\d{23}|(?:10|96)\d{25,31}"
    rf"|420\d{{5}}(?:\d{{4}})?{SEPARATOR}?9[1-5]\d{{5,23}}",
    re.ASCII,
)
# Typed without a barcode: one digit short of 12, 15, 18, 20, 22, 26 or 34 is more likely a slip than foreign.
SLIPPED = re.compile(r"\d{11}|\d{14}|\d{17}|\d{19}|\d{21}|\d{25}|\d{33}", re.ASCII)
