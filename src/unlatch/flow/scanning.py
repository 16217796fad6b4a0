"""From the bytes of a photo to the symbols on it.

Native decoding (Pillow, zxing-cpp) takes tens of milliseconds of a core: the caller runs it in a thread.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import zxingcpp
from PIL import Image, ImageOps

from unlatch.domain.label import MAX_SYMBOLS, Label, Symbol, read_label
from unlatch.errors import LabelUnreadable

MAX_PHOTO_BYTES = 8_000_000
MAX_PHOTO_PIXELS = 40_000_000
FIRST_SIDE = 2000  # pixels; the longer side of what is looked at first
LAST_SIDE = 3200  # and of what is looked at if that shows no label

_TOO_MANY_PIXELS = f"The photo has more than {MAX_PHOTO_PIXELS} pixels; send a smaller one."

_SHIPPING = zxingcpp.BarcodeFormats(
    [zxingcpp.BarcodeFormat.Code128, zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.DataMatrix]
)
# What else stands on parcels: read only to be able to name it. The weak linear codes are left out, since
# they are seen in noise.
_ALL = zxingcpp.BarcodeFormats(
    [
        zxingcpp.BarcodeFormat.Code128,
        zxingcpp.BarcodeFormat.QRCode,
        zxingcpp.BarcodeFormat.DataMatrix,
        zxingcpp.BarcodeFormat.EANUPC,
        zxingcpp.BarcodeFormat.ITF14,
        zxingcpp.BarcodeFormat.Code39,
        zxingcpp.BarcodeFormat.DataBar,
        zxingcpp.BarcodeFormat.PDF417,
        zxingcpp.BarcodeFormat.MaxiCode,
        zxingcpp.BarcodeFormat.Aztec,
    ]
)


def read_symbols(photo: bytes) -> list[Symbol]:
    """The symbols on a PNG or JPEG, at most MAX_SYMBOLS; an empty list where there is none that can be read.

    Looks harder, up to five times, as long as no symbol is a parcel's label. Raises `LabelUnreadable` where
    `photo` is no such picture, is cut off, or is larger than MAX_PHOTO_BYTES or MAX_PHOTO_PIXELS.
    """
    picture = _open_picture(photo)
    seen: dict[tuple[str, bytes], Symbol] = {}
    for view, formats, binarizer in _list_views(picture):
        for barcode in zxingcpp.read_barcodes(view, formats=formats, binarizer=binarizer):
            symbol = Symbol(data=barcode.bytes, symbology_identifier=barcode.symbology_identifier or None)
            seen.setdefault((barcode.symbology_identifier, barcode.bytes), symbol)
        if any(isinstance(read_label(symbol), Label) for symbol in seen.values()):
            break
    return list(seen.values())[:MAX_SYMBOLS]


def _open_picture(photo: bytes) -> Image.Image:
    """The picture in grey. Its size is known from its head, and refused before a pixel is decoded."""
    if len(photo) > MAX_PHOTO_BYTES:
        raise LabelUnreadable(f"The photo is larger than {MAX_PHOTO_BYTES} bytes; send a smaller one.")
    try:
        picture: Image.Image = Image.open(io.BytesIO(photo), formats=("PNG", "JPEG"))
        if picture.width * picture.height > MAX_PHOTO_PIXELS:
            raise LabelUnreadable(_TOO_MANY_PIXELS)
        picture.draft("L", (LAST_SIDE, LAST_SIDE))  # a JPEG is decoded in grey and no larger than needed
        if picture.has_transparency_data:
            inked = _shrink(picture.convert("RGBA"), LAST_SIDE)
            picture = Image.new("RGBA", inked.size, "white")
            picture.alpha_composite(inked)
        return _shrink(picture.convert("L"), LAST_SIDE)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LabelUnreadable(_TOO_MANY_PIXELS) from error
    except (OSError, ValueError, SyntaxError, IndexError, OverflowError) as error:
        raise LabelUnreadable("This is no PNG or JPEG picture, or it is damaged.") from error


def _list_views(
    picture: Image.Image,
) -> Iterator[tuple[Image.Image, zxingcpp.BarcodeFormats, zxingcpp.Binarizer]]:
    """What to look at, the cheap and likely first."""
    local, whole = zxingcpp.Binarizer.LocalAverage, zxingcpp.Binarizer.GlobalHistogram
    first = _shrink(picture, FIRST_SIDE)
    yield first, _SHIPPING, local
    # Linear codes are only looked for along rows and columns: at 45 degrees they need a turned picture. Its
    # corners get the picture's mean grey: white ones would hide the label's own quiet zones (measured).
    grey = first.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    yield first.rotate(45, Image.Resampling.BICUBIC, expand=True, fillcolor=grey), _SHIPPING, local
    yield ImageOps.autocontrast(first, cutoff=1), _ALL, whole
    yield ImageOps.invert(first), _SHIPPING, local  # light bars on a dark ground
    yield picture, _ALL, local


def _shrink(picture: Image.Image, side: int) -> Image.Image:
    if max(picture.size) <= side:
        return picture
    return ImageOps.contain(picture, (side, side), Image.Resampling.BOX)
