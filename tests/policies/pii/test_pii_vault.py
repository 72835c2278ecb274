"""The vault: one placeholder for one value, none shared between scopes, nothing readable when sealed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.pii.errors import VaultError
from policies.pii.vault import ALPHABET, ID_LENGTH, Vault

SECRET, OTHER = b"1" * 32, b"2" * 32
KEY = b"k" * 32


def test_a_placeholder_is_short_typed_and_plain():
    assert re.fullmatch(
        r"\[EMAIL_ADDRESS_[0-9B-Z]{5}\]", Vault(SECRET).placeholder("EMAIL_ADDRESS", "alice@acme.example")
    )


def test_the_same_value_has_the_same_placeholder_wherever_the_scope_is_the_same():
    one, again = Vault(SECRET), Vault(SECRET)
    again.placeholder("PERSON", "Bob")
    assert (
        one.placeholder("PERSON", "Alice") == one.placeholder("PERSON", "Alice") == again.placeholder("PERSON", "Alice")
    )
    assert len(one) == 1


def test_another_type_or_value_has_another_placeholder():
    vault = Vault(SECRET)
    assert len({vault.placeholder(kind, value) for kind in ("PERSON", "LOCATION") for value in ("Paris", "paris")}) == 4


def test_scopes_share_no_placeholders():
    values = [f"alice{n}@acme.example" for n in range(200)]
    one, other = Vault(SECRET), Vault(OTHER)
    assert not {one.placeholder("A_B", v) for v in values} & {other.placeholder("A_B", v) for v in values}
    assert Vault().placeholder("A_B", "x") != Vault().placeholder("A_B", "x")


def test_ids_stay_apart_when_there_are_many():
    vault = Vault(SECRET)
    ids = {vault.placeholder("A_B", str(n))[-6:-1] for n in range(20_000)}
    assert len(ids) == 20_000


def test_what_stands_in_the_text_already_is_not_given_out():
    taken = Vault(SECRET).placeholder("PERSON", "Alice")
    vault = Vault(SECRET)
    vault.reserve([f"see {taken.lower()} there"])
    assert vault.placeholder("PERSON", "Alice") != taken


def test_an_id_is_neither_a_word_nor_a_number():
    vault = Vault(SECRET)
    for n in range(2_000):
        token = vault.placeholder("A_B", str(n))[5:-1]
        assert len(token) == ID_LENGTH
        assert set(token) <= set(ALPHABET)
        assert not token.isalpha()
        assert not token.isdigit()


def test_a_hash_is_keyed_and_cannot_be_undone():
    vault = Vault(SECRET, hash_key=KEY)
    digest = vault.digest("US_SSN", "536-90-4399")
    assert re.fullmatch(r"US_SSN#[0-9a-f]{16}", digest)
    assert digest == Vault(OTHER, hash_key=KEY).digest("US_SSN", "536-90-4399")
    assert digest != Vault(OTHER, hash_key=b"another" * 5).digest("US_SSN", "536-90-4399")
    assert not vault


@given(st.dictionaries(st.text(min_size=1), st.sampled_from(["PERSON", "SECRET"]), max_size=8), st.binary())
def test_a_sealed_vault_opens_as_it_was(values, associated):
    vault = Vault(SECRET)
    placeholders = {value: vault.placeholder(kind, value) for value, kind in values.items()}
    again = Vault.open(vault.seal(KEY, associated), KEY, associated)
    assert {value: again.placeholder(kind, value) for value, kind in values.items()} == placeholders
    assert again.placeholder("X_Y", "new") == vault.placeholder("X_Y", "new")


def test_a_sealed_vault_opens_only_with_its_key_and_purpose_and_unchanged():
    vault = Vault(SECRET)
    vault.placeholder("PERSON", "Alice Roe")
    sealed = vault.seal(KEY, b"acme")
    assert b"Alice" not in sealed
    flipped = bytearray(sealed)
    flipped[-1] ^= 1
    for attempt in [
        (sealed, OTHER, b"acme"),
        (sealed, KEY, b"globex"),
        (bytes(flipped), KEY, b"acme"),
        (b"", KEY, b""),
        (sealed[:9], KEY, b"acme"),
    ]:
        with pytest.raises(VaultError):
            Vault.open(*attempt)


def test_sealing_twice_looks_different():
    vault = Vault(SECRET)
    assert vault.seal(KEY) != vault.seal(KEY)


def test_a_vault_shows_nothing_of_what_it_holds():
    vault = Vault(SECRET)
    vault.placeholder("PERSON", "Alice Roe")
    assert "Alice" not in repr(vault)
    assert "Alice" not in str(vault)
