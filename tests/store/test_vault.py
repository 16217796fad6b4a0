"""Sealed values open for their own row and with their own key, and after no change of any byte."""

import pytest

from unlatch.errors import SealBroken
from unlatch.store.vault import Vault

OLD, NEW = b"o" * 32, b"n" * 32
SECRETS = {"access_token": "s3cret-tökén", "vin": "1G1FY6S00N4100001"}


def test_a_mapping_comes_back_as_it_was() -> None:
    vault = Vault(NEW)
    assert vault.open_mapping(vault.seal(SECRETS, "apt_1"), "apt_1") == SECRETS


def test_nothing_of_the_plain_text_is_in_the_sealed_value() -> None:
    sealed = Vault(NEW).seal(SECRETS, "apt_1")
    assert b"1G1FY6S00N4100001" not in sealed
    assert b"s3cret" not in sealed


def test_the_same_secret_is_never_sealed_alike() -> None:
    vault = Vault(NEW)
    assert vault.seal(b"x", "apt_1") != vault.seal(b"x", "apt_1")


def test_any_altered_byte_is_found() -> None:
    vault = Vault(NEW)
    sealed = vault.seal(b"token", "apt_1")
    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(SealBroken):
            vault.open(bytes(altered), "apt_1")


def test_any_cut_is_found() -> None:
    vault = Vault(NEW)
    sealed = vault.seal(b"token", "apt_1")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            vault.open(sealed[:length], "apt_1")


def test_a_value_of_another_row_does_not_open() -> None:
    vault = Vault(NEW)
    with pytest.raises(SealBroken, match="another row"):
        vault.open(vault.seal(b"token", "apt_1"), "apt_2")


def test_the_parts_of_two_values_do_not_fit_each_other() -> None:
    vault = Vault(NEW)
    one, other = vault.seal(b"token", "apt_1"), vault.seal(b"token", "apt_1")
    content_at = 1 + 8 + 12 + 48
    with pytest.raises(SealBroken):
        vault.open(one[:content_at] + other[content_at:], "apt_1")


def test_a_changed_master_key_opens_what_the_old_one_sealed_and_says_so() -> None:
    sealed = Vault(OLD).seal(b"token", "apt_1")
    both = Vault(NEW, OLD)
    assert both.open(sealed, "apt_1") == b"token"
    assert both.needs_resealing(sealed)
    assert not both.needs_resealing(both.seal(b"token", "apt_1"))
    with pytest.raises(SealBroken, match="master key"):
        Vault(NEW).open(sealed, "apt_1")


def test_a_key_of_another_length_is_refused_and_none_is_shown() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(b"short")
    with pytest.raises(ValueError, match="at least one"):
        Vault()
    assert repr(Vault(NEW)) == "Vault(1 keys)"
