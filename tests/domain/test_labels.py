"""Every format reads; what is damaged, cut off or foreign has its own name; no data makes the reader fall."""

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlatch.domain.label import (
    FAULT_TEXTS,
    MAX_SYMBOL_BYTES,
    Label,
    LabelFault,
    Symbol,
    read_label,
    read_picture_label,
)
from unlatch.domain.label_formats import FORMATS, LabelKind
from unlatch.domain.parcel import Parcel, ParcelPlace

SSCC = "340123450000000017"
KEY = f"sscc:{SSCC}"
LINK = "https://id.gs1.org/00/"


def read(data: bytes | str, symbology: str | None = None, *expected: str) -> Label | LabelFault:
    return read_label(Symbol(data=data, symbology_identifier=symbology), expected_keys=frozenset(expected))


def further(data: bytes | str, symbology: str | None = None) -> tuple[tuple[str, str], ...]:
    label = read(data, symbology)
    assert isinstance(label, Label), label
    return label.further


def key_of(data: bytes | str, symbology: str | None = None, *expected: str) -> str:
    label = read(data, symbology, *expected)
    assert isinstance(label, Label), label
    return label.key


# Numbers published as valid and as invalid by the sources that label_formats names.
VALID = {
    "1Z5R89390357567127": "ups:1Z5R89390357567127",
    "1Z879E930346834440": "ups:1Z879E930346834440",
    "1Z410E7W0392751591": "ups:1Z410E7W0392751591",
    "1Z8V92A70367203024": "ups:1Z8V92A70367203024",
    "986578788855": "fedex:986578788855",
    "477179081230": "fedex:477179081230",
    "799531274483": "fedex:799531274483",
    "974367662710": "fedex:974367662710",
    "012345678983": "fedex:012345678983",
    "0414 4176 0228 964": "fedex:041441760228964",
    "5682 8361 0012 000": "fedex:568283610012000",
    "9611020987654312345672": "fedex:987654312345672",
    "1001921334250001000300779017972697": "fedex:779017972697",
    "9622001900000000000000776632517510": "fedex:776632517510",
    "9632001560123456789900794808390594": "fedex:794808390594",
    "61299998820821171811": "usps:9261299998820821171811",
    "9261292700768711948021": "usps:9261292700768711948021",
    "0307 1790 0005 2348 3741": "usps:03071790000523483741",
    "7112 3456 7891 2345 6787": "usps:71123456789123456787",
    "7196 9010 7560 0307 7385": "usps:9171969010756003077385",
    "420 22153 9101026837331000039521": "usps:9101026837331000039521",
    "4201002334249200190132607600833457": "usps:9200190132607600833457",
    "4201028200009261290113185417468510": "usps:9261290113185417468510",
    "92748931507708513018050063": "usps:92748931507708513018050063",
    "9505 5110 6960 5048 6006 24": "usps:9505511069605048600624",
    "9361 2898 7870 0317 6337 95": "usps:9361289878700317633795",
    "RB123456785US": "s10:RB123456785US",
    "RB123456785GB": "s10:RB123456785GB",
    "TBA502887274000": "amazon:TBA502887274000",
    "00 0123 4500 0000 0027": "sscc:000123450000000027",
}
WRONG_CHECK = [
    "1Z1111111111111111", "996578788855", "1001901781990001000300617767839438", "9261292700768711948020",
    "568283610012732", "9600000000000000000001", "9622001560001234567100794808390595", "03071790000523483742",
    "4201028200009261290113185417468511", "9200000000000000000000", "RB123456786US", "340123450000000018",
]  # fmt: skip


@pytest.mark.parametrize(("number", "key"), VALID.items())
def test_published_numbers_read(number, key):
    assert key_of(number) == key
    assert key_of(number.lower(), None) == key


@pytest.mark.parametrize("number", WRONG_CHECK)
def test_published_invalid_numbers_have_a_wrong_check_digit(number):
    assert read(number) is LabelFault.CHECK_DIGIT


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_every_format_has_an_example_that_reads_and_fails_when_a_digit_changes(form):
    label = read(form.example)
    assert isinstance(label, Label)
    assert label.kind is form.kind
    assert label.key.startswith(form.scheme + ":")
    if form.kind is LabelKind.AMAZON_TBA:
        return
    # The last digit but one: it counts once in UPS, where d and d + 5 would look the same if counted twice.
    place = 10 if form.kind is LabelKind.UPU_S10 else len(form.example) - 2
    for digit in string.digits:
        damaged = form.example[:place] + digit + form.example[place + 1 :]
        if digit != form.example[place]:
            # Two 20-digit readings more share this length: a change may pass one of them, with another key.
            end = read(damaged)
            assert end is LabelFault.CHECK_DIGIT or (isinstance(end, Label) and end.key != label.key)
            assert end is LabelFault.CHECK_DIGIT or "20" in form.name


@pytest.mark.parametrize(
    ("data", "symbology"),
    [
        (b"00340123450000000017", "]C1"),
        (b"\x1d00340123450000000017", "]C1"),
        (b"00340123450000000017", "]Q3"),
        (b"\x1d00340123450000000017\x1d", "]d2"),
        ("]C100340123450000000017", None),
        ("]C100340123450000000017", "]C1"),
        ("(00)340123450000000017", None),
        ("( 00 ) 3 4012345 0000000017", None),
        ("00 3401 2345 0000 0000 17", None),
        ("3401-2345-0000-0000-17", None),
        ("340123450000000017", "]C0"),
        ("\ufeff34012345\u00a00000000017\r\n", None),
    ],
)
def test_an_sscc_reads_however_it_is_carried(data, symbology):
    label = read(data, symbology)
    assert isinstance(label, Label)
    assert (label.key, label.kind, label.number) == (KEY, LabelKind.GS1_128_SSCC, SSCC)


def test_further_identifiers_are_kept_in_order():
    beside = (("401", "AB-c/1"), ("402", "12345678901234567"))
    assert further("401AB-c/1\x1d0034012345000000001740212345678901234567", "]C1") == beside
    assert further("(00)340123450000000017(401)AB-c/1(402)12345678901234567") == beside
    link = f"https://x.example/shop/00/{SSCC}?401=AB-c%2F1&402=12345678901234567&utm=1&99x=2"
    assert further(link) == beside
    assert further(b"42022153\x1d9101026837331000039521", "]C1") == (("420", "22153"),)


@pytest.mark.parametrize(
    "address",
    [
        LINK + SSCC,
        "HTTPS://ID.GS1.ORG/00/" + SSCC,
        "http://parcels.example/a/b/00/" + SSCC + "/",
        "https://parcels.example/00/00/" + SSCC,
        "https://[::1/00/" + SSCC,  # nobody goes there: the domain says nothing
        "https://parcels.example/%30%30/" + SSCC + "#top",
        "https://parcels.example/00/3%34" + SSCC[2:] + "/402/12345678901234567?linkType=all",
    ],
)
def test_digital_links_of_any_domain_read(address):
    label = read(address, "]Q1")
    assert isinstance(label, Label)
    assert (label.key, label.kind) == (KEY, LabelKind.GS1_DIGITAL_LINK)


@pytest.mark.parametrize(
    ("data", "symbology", "fault"),
    [
        (b"00340123450000000018", "]C1", LabelFault.CHECK_DIGIT),
        ("(00)340123450000000018", None, LabelFault.CHECK_DIGIT),
        (LINK + "340123450000000018", "]Q1", LabelFault.CHECK_DIGIT),
        (b"00340123450000", "]C1", LabelFault.TRUNCATED),
        (b"003401234500000000", "]C1", LabelFault.TRUNCATED),
        ("(00)34012345", None, LabelFault.TRUNCATED),
        (LINK + "34012345", "]Q1", LabelFault.TRUNCATED),
        ("0034012345000000001", None, LabelFault.TRUNCATED),
        ("34012345000000001", None, LabelFault.TRUNCATED),
        ("1Z5R8939035756", None, LabelFault.TRUNCATED),
        ("TBA5028872", None, LabelFault.TRUNCATED),
        ("98657878885", None, LabelFault.TRUNCATED),
        ("950551106960504860062", None, LabelFault.TRUNCATED),
        ("42022153910102683733", None, LabelFault.TRUNCATED),
        ("100192133425000100030077901797", None, LabelFault.TRUNCATED),
        ("RB123456785", None, LabelFault.TRUNCATED),
        ("HELLO", None, LabelFault.FOREIGN),
        ("JJD000390007882823452", "]C0", LabelFault.FOREIGN),
        ("1234567890", "]C0", LabelFault.FOREIGN),
        ("https://www.unlatch.example/menu", "]Q1", LabelFault.FOREIGN),
        ("WIFI:S:net;T:WPA;P:secret;;", "]Q1", LabelFault.FOREIGN),
        ("https:/00/" + SSCC, "]Q1", LabelFault.FOREIGN),
        ("\u0663\u0664" + SSCC[2:], None, LabelFault.FOREIGN),  # Arabic-Indic digits are not silently taken
        (LINK + "\uff13" + SSCC[1:], None, LabelFault.FOREIGN),
        (b"0107032069804988", "]C1", LabelFault.NOT_TRANSPORT_UNIT),
        (b"42022153", "]C1", LabelFault.NOT_TRANSPORT_UNIT),
        ("7032069804988", "]E0", LabelFault.NOT_TRANSPORT_UNIT),
        ("7032069804988", None, LabelFault.NOT_TRANSPORT_UNIT),
        ("986578788855", "]E0", LabelFault.NOT_TRANSPORT_UNIT),  # a valid FedEx number, but on an article
        ("https://id.gs1.org/01/07032069804988/21/A1", "]Q1", LabelFault.NOT_TRANSPORT_UNIT),
        ("https://id.gs1.org/ARFKk4XB0CDKWcnpq", "]Q1", LabelFault.COMPRESSED_LINK),
        ("https://x.example/AEuJbmxvgAAR", "]Q1", LabelFault.COMPRESSED_LINK),
        (b"0034012345000000001700340123450000000024", "]C1", LabelFault.SEVERAL_LABELS),
        ("1" * (MAX_SYMBOL_BYTES + 1), None, LabelFault.TOO_LONG),
        (b"", "]C1", LabelFault.UNREADABLE),
        (" \n", None, LabelFault.UNREADABLE),
    ],
)
def test_faults_are_named(data, symbology, fault):
    assert read(data, symbology) is fault


def test_every_fault_has_words_in_both_languages():
    for fault in LabelFault:
        words = FAULT_TEXTS[fault]
        texts = {words.text_en, words.text_fr, words.remedy_en, words.remedy_fr}
        assert len(texts) == 4
        assert all(10 < len(text) <= 120 for text in texts)


def test_a_number_that_fits_two_formats_is_ambiguous_until_one_is_expected():
    # 420, then either a ZIP and 26 digits or a ZIP+4 and 22 digits; both check sums hold.
    both = "420" + "22153" + "9201" + "9505511069605048600624"
    assert read(both) is LabelFault.AMBIGUOUS
    short, long = "usps:9505511069605048600624", "usps:92019505511069605048600624"
    assert key_of(both, None, short, "ups:1Z5R89390357567127") == short
    assert key_of(both, None, long) == long
    assert read(both, None, short, long) is LabelFault.AMBIGUOUS
    assert key_of(f"42022153\x1d{both[8:]}", "]C1") == long  # the separator ends the postcode
    assert key_of(f"{both[:12]}\x1d{both[12:]}", "]C1") == short


def test_part_of_an_expected_number_is_called_truncated():
    assert read("8657878885", "]C0") is LabelFault.FOREIGN
    assert read("8657878885", "]C0", "fedex:986578788855") is LabelFault.TRUNCATED
    assert read("98657", "]C0", "fedex:986578788855") is LabelFault.FOREIGN


def picture(*symbols: tuple[str, str | None], expected: frozenset[str] = frozenset()) -> Label | LabelFault:
    seen = [Symbol(data=data, symbology_identifier=symbology) for data, symbology in symbols]
    return read_picture_label(seen, expected_keys=expected)


def test_one_label_is_found_among_the_symbols_of_a_picture():
    sscc, link = ("00" + SSCC, "]C1"), (LINK + SSCC, "]Q1")
    article, zip_code = ("7032069804988", "]E0"), ("42022153", "]C1")
    other = ("1Z5R89390357567127", "]C0")
    label = picture(article, zip_code, link, sscc)
    assert isinstance(label, Label)
    assert label.key == KEY
    assert picture(sscc, other) is LabelFault.SEVERAL_LABELS
    assert picture(sscc, other, expected=frozenset({KEY})) == read("00" + SSCC, "]C1")
    assert (
        picture(sscc, other, expected=frozenset({KEY, "ups:1Z5R89390357567127"})) is LabelFault.SEVERAL_LABELS
    )
    assert picture(article, ("1Z5R89390357567128", "]C0")) is LabelFault.CHECK_DIGIT
    assert picture(article, ("?", "]Q1")) is LabelFault.NOT_TRANSPORT_UNIT
    assert picture() is LabelFault.UNREADABLE


SYMBOLOGIES = st.sampled_from([None, "]C0", "]C1", "]Q1", "]Q3", "]d2", "]E0", "]U1", "", "]", "\ud800"])
PIECES = st.sampled_from(
    ["00", "420", "401", "9505511069605048600624", SSCC,
     "\x1d", "1Z", "TBA", "https://", "HTTP://[", "/00/", "%", "?",
     "&", "(", ")", "]C1", "\u0663", "\ud800", "\x00", "é", "91", "(00)", "#", "//", "%00",
     "@", ":99999999"]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(
    st.one_of(st.binary(max_size=80), st.text(max_size=80), st.lists(PIECES, max_size=9).map("".join)),
    SYMBOLOGIES,
)
def test_no_symbol_makes_the_reader_fall(data, symbology):
    assert isinstance(read(data, symbology), Label | LabelFault)


def test_twenty_thousand_random_symbols_read_or_have_a_fault():
    lot = random.Random(20260422)
    pieces = [
        "00",
        "420",
        SSCC,
        "\x1d",
        "1Z",
        "TBA",
        "https://",
        "http://[",
        "/00/",
        "(00)",
        "]C1",
        "%",
        "é",
        "96",
    ]
    seen = dict.fromkeys([*LabelFault, "label"], 0)
    for _ in range(20_000):
        data: bytes | str = lot.randbytes(lot.randrange(40))
        if lot.random() < 0.8:
            text = "".join(
                lot.choice(pieces + [str(lot.randrange(10**9))] * 9) for _ in range(lot.randrange(6))
            )
            data = text if lot.random() < 0.5 else text.encode()
        end = read(data, lot.choice([None, "]C0", "]C1", "]Q1", "]d2"]))
        seen["label" if isinstance(end, Label) else end] += 1
    assert sum(seen.values()) == 20_000
    assert seen["label"] > 50  # the lot does reach behind the first checks
    assert seen[LabelFault.CHECK_DIGIT] > 50


def test_a_parcel_keeps_its_promises():
    assert [place.value for place in ParcelPlace] == [
        "with_carrier", "with_courier", "in_place", "handed_over", "at_fallback", "returned", "held",
    ]  # fmt: skip
    Parcel(key=KEY, shipment_id="s", weight_g=1, dimensions_mm=(1, 2, 3), value_cents=0, currency="USD")
    with pytest.raises(ValueError, match="key"):
        Parcel(key=SSCC, shipment_id="s")
    with pytest.raises(ValueError, match="weight_g"):
        Parcel(key=KEY, shipment_id="s", weight_g=0)
    with pytest.raises(ValueError, match="dimensions_mm"):
        Parcel(key=KEY, shipment_id="s", dimensions_mm=(1, 0, 3))
    with pytest.raises(ValueError, match="value_cents"):
        Parcel(key=KEY, shipment_id="s", value_cents=100)
