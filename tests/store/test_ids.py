"""Identifiers sort by time and are UUIDs of version 7; keys are long and kept as a hash alone."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from unlatch.store.ids import hash_key, make_id, make_key


def test_an_identifier_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    before_ms = time.time_ns() // 1_000_000
    kind, _, digits = make_id("vis").partition("_")
    number = UUID(hex=digits)
    assert kind == "vis"
    assert (number.version, number.variant) == (7, "specified in RFC 4122")
    assert before_ms <= number.int >> 80 <= before_ms + 1000


def test_identifiers_never_go_back_even_from_many_threads() -> None:
    def make_many(_: int) -> list[str]:
        return [make_id("vis") for _ in range(2000)]

    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(make_many, range(4)))
    assert all(row == sorted(row) for row in rows)
    assert len({one for row in rows for one in row}) == 8000


def test_a_key_has_256_bits_and_its_hash_32_bytes() -> None:
    one, other = make_key("unlatch_carrier"), make_key("unlatch_carrier")
    assert one != other
    assert one.startswith("unlatch_carrier_")
    assert len(bytes.fromhex(one.rpartition("_")[2])) == 32
    assert len(hash_key(one)) == 32
    assert one.encode() not in hash_key(one)
