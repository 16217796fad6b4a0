"""Prints shipping labels as pictures, photographs them badly, and damages them, all by seed.

The barcode of a parcel's key is the one its carrier prints: GS1-128 with a real FNC1 for an SSCC, USPS and
FedEx; plain Code 128 for UPS, S10 and Amazon; for an SSCC also a QR code with a GS1 Digital Link.
"""

from __future__ import annotations

import io
from enum import StrEnum, auto
from random import Random
from unicodedata import normalize

import zxingcpp
from PIL import Image, ImageDraw, ImageFilter, ImageFont

LABEL_SIZE = (812, 1218)  # pixels: 4 x 6 inches at 203 dots per inch, the usual thermal printer
LINK_DOMAIN = "https://id.gs1.org"
FEDEX_ROUTING = "220019000000000000"
_MARGIN = 40


class Carriage(StrEnum):
    """What carries the parcel's number."""

    BARCODE = auto()  # the carrier's own linear barcode
    DIGITAL_LINK = auto()  # a QR code with a GS1 Digital Link; an SSCC only
    BOTH = auto()  # as retailers print it today; an SSCC only


def print_label(
    key: str,
    *,
    sender: str,
    recipient: str,
    carriage: Carriage = Carriage.BARCODE,
    size: tuple[int, int] = LABEL_SIZE,
    postcode: str | None = None,
    beside: str = "",
) -> bytes:
    """A PNG of the label of a parcel `key` (such as "sscc:340123450000000017").

    The check digit of `key` is printed as given, right or wrong. `postcode` (USPS only) goes before the number
    as AI 420; `beside` (SSCC only) are further element strings in parentheses, such as "(401)A1". Raises
    ValueError for a scheme that nobody prints and for text that no barcode takes.
    """
    label = Image.new("L", size, 255)
    draw = ImageDraw.Draw(label)
    width, height = size
    scheme, _, number = key.partition(":")
    draw.rectangle((8, 8, width - 8, height - 8), outline=0, width=3)
    draw.multiline_text((_MARGIN, 36), _get_ascii("FROM\n" + sender), fill=0, font=ImageFont.load_default(24))
    draw.line((8, height // 4, width - 8, height // 4), fill=0, width=3)
    draw.multiline_text(
        (_MARGIN, height // 4 + 24),
        _get_ascii("SHIP TO\n" + recipient),
        fill=0,
        font=ImageFont.load_default(36),
    )
    if carriage is not Carriage.BARCODE:
        if scheme != "sscc":
            raise ValueError("carriage: only an SSCC has a GS1 Digital Link")
        code = _draw_symbol(f"{LINK_DOMAIN}/00/{number}", zxingcpp.BarcodeFormat.QRCode, width // 3)
        label.paste(code, (width - code.width - 24, height // 4 + 12))
    if carriage is not Carriage.DIGITAL_LINK:
        content, is_gs1 = get_printed(key, postcode=postcode, beside=beside)
        code = _draw_symbol(content, zxingcpp.BarcodeFormat.Code128, width - 2 * _MARGIN, is_gs1=is_gs1)
        code = code.resize((code.width, height // 5), Image.Resampling.NEAREST)
        label.paste(code, ((width - code.width) // 2, height * 2 // 3))
    shown = number if scheme != "sscc" else f"(00) {number}"
    draw.text((width // 2, height - 80), shown, fill=0, font=ImageFont.load_default(32), anchor="mm")
    return _get_png(label)


def print_article(gtin: str, *, size: tuple[int, int] = LABEL_SIZE) -> bytes:
    """A PNG with an article's EAN-13 alone, which couriers scan by mistake. Its check digit must be right."""
    label = Image.new("L", size, 255)
    code = _draw_symbol(gtin, zxingcpp.BarcodeFormat.EAN13, size[0] // 2)
    label.paste(
        code.resize((code.width, size[1] // 6), Image.Resampling.NEAREST), (size[0] // 4, size[1] // 3)
    )
    return _get_png(label)


def get_printed(key: str, *, postcode: str | None = None, beside: str = "") -> tuple[str, bool]:
    """What the barcode of `key` holds, in parentheses form where it is a GS1 symbol, and whether it is one."""
    scheme, _, number = key.partition(":")
    if scheme == "sscc" and len(number) == 18:
        return f"(00){number}{beside}", True
    if scheme == "sscc":  # cut off: no GS1 printer takes it, so it stands there as plain digits
        return f"00{number}", False
    if scheme == "usps" and number[:2] in {"91", "92", "93", "94", "95"}:
        return (f"(420){postcode}" if postcode else "") + f"({number[:2]}){number[2:]}", True
    if scheme == "fedex" and len(number) == 15:
        return f"(96)11020{number}", True
    if scheme == "fedex" and len(number) == 12:
        # 34 digits: after 96 a service and a routing, then the number in 14 digits.
        return f"(96){FEDEX_ROUTING}{number:0>14}", True
    if scheme in {"ups", "s10", "amazon", "usps", "fedex"}:
        return number, False
    raise ValueError(f"key: no label is printed for the scheme {scheme!r}")


def break_check_digit(key: str) -> str:
    """The same number with a wrong check digit (S10: before the country)."""
    place = -3 if key.startswith("s10:") else len(key) - 1
    return key[:place] + str((int(key[place]) + 1) % 10) + key[place:][1:]


def cut_off(key: str, *, lost: int = 4) -> str:
    """The same number without its last `lost` characters."""
    return key[:-lost]


def tear(png: bytes) -> bytes:
    """The label with a strip torn off through all its codes, from top to bottom: nothing can be read."""
    label = Image.open(io.BytesIO(png)).convert("L")
    ImageDraw.Draw(label).rectangle((label.width * 0.45, 0, label.width, label.height), fill=140)
    return _get_png(label)


def photograph(png: bytes, *, seed: int, turn_degrees: float | None = None, badness: float = 0.5) -> bytes:
    """A JPEG of the label as a courier's phone takes it: turned, slanted, out of focus, in poor light, noisy.

    `badness` from 0 (a good picture) to 1 (what a person would take again). The turn is drawn from
    -12 to 12 degrees times badness unless it is given.
    """
    lot = Random(seed)
    label = Image.open(io.BytesIO(png)).convert("L")
    width, height = label.size
    desk = Image.new("L", (width * 3 // 2, height * 3 // 2), 95 + lot.randrange(60))
    desk.paste(label, (width // 4, height // 4))
    desk = _slant(desk, lot, badness)
    turn = lot.uniform(-12, 12) * badness if turn_degrees is None else turn_degrees
    ground = desk.getpixel((0, 0))
    desk = desk.rotate(turn, Image.Resampling.BILINEAR, expand=True, fillcolor=ground)
    desk = desk.filter(ImageFilter.GaussianBlur(0.2 + 1.2 * badness * lot.random()))
    dark = 1 - 0.65 * badness * lot.random()  # low light takes from the contrast as well
    desk = desk.point([int(12 * badness + grey * dark * 0.92) for grey in range(256)])
    noise = Image.frombytes("L", desk.size, lot.randbytes(desk.width * desk.height))
    desk = Image.blend(desk, noise, 0.08 * badness * lot.random())
    photo = io.BytesIO()
    desk.save(photo, "JPEG", quality=round(92 - 35 * badness))
    return photo.getvalue()


def _slant(desk: Image.Image, lot: Random, badness: float) -> Image.Image:
    """Perspective: each corner of the picture is drawn from up to 6 % further inside."""
    width, height = desk.size
    inward = [
        (lot.uniform(0, 0.06) * badness * width, lot.uniform(0, 0.06) * badness * height) for _ in range(4)
    ]
    corners = [
        inward[0],
        (inward[1][0], height - inward[1][1]),
        (width - inward[2][0], height - inward[2][1]),
        (width - inward[3][0], inward[3][1]),
    ]
    quad = tuple(value for corner in corners for value in corner)
    return desk.transform(desk.size, Image.Transform.QUAD, quad, Image.Resampling.BILINEAR)


def _draw_symbol(
    content: str, form: zxingcpp.BarcodeFormat, max_width: int, *, is_gs1: bool = False
) -> Image.Image:
    """The symbol with its quiet zones, as large as whole pixels per module allow."""
    barcode = zxingcpp.create_barcode(content, form, **({"gs1": True} if is_gs1 else {}))
    smallest = barcode.to_image(scale=1)
    drawn = barcode.to_image(scale=max(1, max_width // smallest.shape[1]))
    return Image.frombytes("L", (drawn.shape[1], drawn.shape[0]), bytes(memoryview(drawn)))  # type: ignore[arg-type]  # it is a buffer


def _get_ascii(text: str) -> str:
    """What the printer's only typeface has: accents are dropped, as many label printers do."""
    return normalize("NFKD", text[:300]).encode("ascii", "ignore").decode()


def _get_png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=False, compress_level=3)
    return file.getvalue()
