"""A courier's photo, made anew from its pixels: no position, no device name, no thumbnail of something else.

Native decoding takes tens of milliseconds of a core: the caller runs it in a thread.
"""

from __future__ import annotations

import hashlib
import io

from PIL import Image, ImageOps

from unlatch.errors import BadInput
from unlatch.flow.scanning import MAX_PHOTO_BYTES, MAX_PHOTO_PIXELS
from unlatch.flow.words import Photo

MAX_KEPT_BYTES = 1_000_000
SIDE = 1600  # pixels, the longer one
QUALITIES = (82, 60, 35)


def make_photo(content: bytes) -> Photo:
    """The photo as it is kept. Raises BadInput where this is no PNG or JPEG, is damaged or too large."""
    if len(content) > MAX_PHOTO_BYTES:
        raise BadInput("photo", f"at most {MAX_PHOTO_BYTES} bytes")
    try:
        picture: Image.Image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
        if picture.width * picture.height > MAX_PHOTO_PIXELS:
            raise BadInput("photo", f"at most {MAX_PHOTO_PIXELS} pixels")
        picture.draft("RGB", (SIDE, SIDE))
        upright = ImageOps.exif_transpose(picture).convert("RGB")
        upright.thumbnail((SIDE, SIDE))
        clean = Image.new("RGB", upright.size)  # nothing but pixels goes over
        clean.paste(upright)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadInput("photo", f"at most {MAX_PHOTO_PIXELS} pixels") from error
    except (OSError, ValueError, SyntaxError, IndexError, OverflowError, TypeError) as error:
        raise BadInput("photo", "send a whole PNG or JPEG picture") from error
    for quality in QUALITIES:
        kept = io.BytesIO()
        clean.save(kept, format="JPEG", quality=quality)
        if kept.tell() <= MAX_KEPT_BYTES:
            encoded = kept.getvalue()
            return Photo(sha256=hashlib.sha256(encoded).digest(), media_type="image/jpeg", content=encoded)
    raise BadInput("photo", "this picture can't be made small enough")
