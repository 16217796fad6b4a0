"""Real label pictures, printed and photographed badly, read back through the scanner of the platform."""

import functools
import io
import struct
import zlib

import pytest
from PIL import Image

from unlatch.domain.label import Label, LabelFault, read_picture_label
from unlatch.errors import LabelUnreadable
from unlatch.flow.scanning import MAX_PHOTO_BYTES, MAX_PHOTO_PIXELS, read_symbols
from unlatch.town.labels import (
    Carriage,
    break_check_digit,
    cut_off,
    photograph,
    print_article,
    print_label,
    tear,
)

SSCC = "sscc:340123450000000017"
KEYS = {  # key -> the symbology identifier of the barcode that its carrier prints
    SSCC: "]C1",
    "ups:1Z5R89390357567127": "]C0",
    "fedex:986578788855": "]C1",
    "fedex:987654312345672": "]C1",
    "usps:9505511069605048600624": "]C1",
    "usps:92748931507708513018050063": "]C1",
    "usps:03071790000523483741": "]C0",
    "s10:RB123456785US": "]C0",
    "amazon:TBA502887274000": "]C0",
}


@functools.cache
def print_one(key: str, **more) -> bytes:
    sender = "Old Mill Books\n12 River Street\nPortland OR 97201"
    return print_label(
        key, sender=sender, recipient="Zoé Lemaître\n845 SW Oak Street\nPortland OR 97205", **more
    )


def scan(photo: bytes, *expected: str) -> Label | LabelFault:
    return read_picture_label(read_symbols(photo), expected_keys=frozenset(expected))


def key_of(photo: bytes) -> str:
    label = scan(photo)
    assert isinstance(label, Label), label
    return label.key


@pytest.mark.parametrize(("key", "symbology"), KEYS.items())
def test_every_format_survives_print_and_photo(key, symbology):
    label = print_one(key, postcode="97205")
    (symbol,) = read_symbols(label)
    assert symbol.symbology_identifier == symbology
    assert key_of(label) == key
    assert key_of(photograph(label, seed=7, badness=0.1, turn_degrees=93)) == key


@pytest.mark.parametrize("seed", range(4))
def test_bad_photos_of_usual_labels_still_read(seed):
    assert key_of(photograph(print_one(SSCC), seed=seed, badness=1.0)) == SSCC
    link = print_one(SSCC, carriage=Carriage.DIGITAL_LINK)
    assert key_of(photograph(link, seed=seed, badness=1.0, turn_degrees=50.0 * seed)) == SSCC


def test_a_linear_code_at_45_degrees_reads():
    photo = photograph(print_one("ups:1Z5R89390357567127"), seed=1, badness=0.3, turn_degrees=45)
    assert key_of(photo) == "ups:1Z5R89390357567127"


def test_white_on_black_reads():
    label = Image.open(io.BytesIO(print_one(SSCC))).point([255 - grey for grey in range(256)])
    assert key_of(as_bytes(label)) == SSCC


def test_the_separator_is_a_real_fnc1():
    (symbol,) = read_symbols(print_one("usps:9505511069605048600624", postcode="97205"))
    assert symbol.data == b"42097205\x1d9505511069605048600624"
    (symbol,) = read_symbols(print_one(SSCC, beside="(401)A1(402)12345678901234567"))
    assert symbol.data == b"00340123450000000017401A1\x1d40212345678901234567"
    assert scan(print_one(SSCC, beside="(401)A1")).further == (("401", "A1"),)  # type: ignore[union-attr]


def test_one_label_with_two_codes_is_one_parcel():
    both = print_one(SSCC, carriage=Carriage.BOTH)
    assert {symbol.symbology_identifier for symbol in read_symbols(both)} == {"]C1", "]Q1"}
    assert key_of(both) == SSCC


@pytest.mark.parametrize("key", [key for key in KEYS if not key.startswith("amazon")])
def test_a_wrong_check_digit_is_named(key):
    assert scan(print_one(break_check_digit(key))) is LabelFault.CHECK_DIGIT


def test_a_wrong_check_digit_in_a_link_is_named():
    broken = print_one(break_check_digit(SSCC), carriage=Carriage.DIGITAL_LINK)
    assert scan(broken) is LabelFault.CHECK_DIGIT
    assert scan(print_one(cut_off(SSCC), carriage=Carriage.DIGITAL_LINK)) is LabelFault.TRUNCATED


@pytest.mark.parametrize(
    "key", [SSCC, "ups:1Z5R89390357567127", "usps:9505511069605048600624", "amazon:TBA502887274000"]
)
def test_a_number_cut_off_is_named(key):
    assert scan(print_one(cut_off(key))) is LabelFault.TRUNCATED


def test_a_torn_label_is_unreadable():
    assert scan(tear(print_one(SSCC, carriage=Carriage.BOTH))) is LabelFault.UNREADABLE


def test_articles_and_two_parcels_are_named():
    assert scan(print_article("7032069804988")) is LabelFault.NOT_TRANSPORT_UNIT
    first, second = (Image.open(io.BytesIO(print_one(key))) for key in (SSCC, "ups:1Z5R89390357567127"))
    table = Image.new("L", (first.width * 2, first.height), 128)
    table.paste(first, (0, 0))
    table.paste(second, (first.width, 0))
    assert scan(as_bytes(table)) is LabelFault.SEVERAL_LABELS
    label = scan(as_bytes(table), SSCC, "s10:RB123456785US")
    assert isinstance(label, Label)
    assert label.key == SSCC


def as_bytes(picture: Image.Image, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture.save(file, form)
    return file.getvalue()


def make_bomb(width: int, height: int) -> bytes:
    """A PNG whose head promises more than it holds."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 9))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(6400, 6400), (12_000, 12_000), (60_000, 60_000)])
def test_decompression_bombs_are_refused_by_their_head(size):
    with pytest.raises(LabelUnreadable, match=str(MAX_PHOTO_PIXELS)):
        read_symbols(make_bomb(*size))


def test_what_is_no_picture_is_refused():
    label = print_one(SSCC)
    blank = Image.new("L", (64, 64), 255)
    for photo in (b"", b"%PDF-1.7", b"\xff\xd8\xff\xe0", label[:2000], as_bytes(blank, "BMP"), as_bytes(blank, "GIF"),
                  make_bomb(600, 600)):  # fmt: skip
        with pytest.raises(LabelUnreadable, match="no PNG or JPEG"):
            read_symbols(photo)
    with pytest.raises(LabelUnreadable, match=str(MAX_PHOTO_BYTES)):
        read_symbols(label + b"\0" * MAX_PHOTO_BYTES)
    assert read_symbols(as_bytes(blank)) == []


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_reads(mode):
    label: Image.Image = Image.open(io.BytesIO(print_one(SSCC)))
    if mode == "I;16":
        label = label.convert("I").point(lambda grey: grey * 257).convert("I;16")
    assert key_of(as_bytes(label.convert(mode))) == SSCC


def test_transparent_ground_counts_as_white():
    label = Image.open(io.BytesIO(print_one(SSCC))).convert("L")
    ink = Image.new("RGBA", label.size, (0, 0, 0, 0))
    ink.putalpha(label.point([255 - grey for grey in range(256)]))
    assert key_of(as_bytes(ink)) == SSCC


def test_the_same_seed_gives_the_same_photo():
    label = print_one(SSCC)
    assert photograph(label, seed=5) == photograph(label, seed=5)
    assert photograph(label, seed=5) != photograph(label, seed=6)
