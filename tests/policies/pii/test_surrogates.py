"""Surrogates: realistic, of the same make, the same for the same, and restored exactly wherever the text is cut."""

from __future__ import annotations

import ipaddress
import json
import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.pii import surrogates
from policies.pii.data import PiiRules
from policies.pii.redaction import Pii
from policies.pii.restore import Restorer, restore_text, restore_value
from policies.pii.surrogate_names import FAMILY, GIVEN, TOWNS
from policies.pii.vault import Vault

RULES = PiiRules.parse({"default": {"action": "surrogate"}})
TEXT = (
    "Dr. Mary Roe (mary.roe@corp.com, +49 30 1234567) and Hans Müller of Siemens AG in Berlin paid with "
    "4111 1111 1111 1111 from DE89 3704 0044 0532 0130 00, SSN 536-90-4399, host 10.1.2.3. Roe lives at 12 Linden "
    "Road. MARY ROE wrote it down."
)


@pytest.fixture(scope="module")
def pii():
    made = Pii()
    yield made
    made.close()


@pytest.fixture
def vault():
    return Vault(b"1" * 32)


def luhn(number: str) -> bool:
    figures = [int(figure) for figure in number if figure.isdigit()]
    return sum(n if turn % 2 == 0 else n * 2 - 9 * (n > 4) for turn, n in enumerate(reversed(figures))) % 10 == 0


def iban_is_right(text: str) -> bool:
    plain = "".join(text.split()).upper()
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def streamed(pieces, vault, json_escape=False):
    restorer = Restorer(vault, json_escape)
    return "".join([*map(restorer.feed, pieces), restorer.flush()])


# -- what stands in ---------------------------------------------------------------------------------------------------


def test_nothing_of_the_original_is_left_and_all_of_it_comes_back(pii, vault):
    found = pii.redact_text(TEXT, RULES, vault=vault)
    for word in ("Mary", "Roe", "Hans", "Müller", "Siemens", "Berlin", "4111", "1234567", "3704", "536-90", "Linden"):
        assert word.casefold() not in found.text.casefold()
    assert "[" not in found.text, "something realistic can stand for all of this"
    assert found.text.startswith("Dr. ")
    assert restore_text(found.text, found.vault) == TEXT


def test_a_person_stays_one_person(vault):
    whole, shouted = vault.surrogate("PERSON", "Mary Roe"), vault.surrogate("PERSON", "MARY ROE")
    given_name, family = whole.split()
    assert vault.surrogate("PERSON", "Dr Roe") == f"Dr {family}"
    assert vault.surrogate("PERSON", "Mary") == given_name
    assert vault.surrogate("PERSON", "Roe, Mary") == f"{family}, {given_name}"
    assert shouted == whole.upper()
    assert vault.surrogate("EMAIL_ADDRESS", "mary.roe@corp.com").startswith(f"{given_name}.{family}@example.".lower())
    assert vault.surrogate("PERSON", "Mary Roe") == whole
    for original in ("Mary Roe", "MARY ROE", "Dr Roe", "Mary", "Roe, Mary", "mary.roe@corp.com"):
        kind = "EMAIL_ADDRESS" if "@" in original else "PERSON"
        assert restore_text(f"<{vault.surrogate(kind, original)}>", vault) == f"<{original}>"


@pytest.mark.parametrize(
    ("name", "locale", "gender"),
    [
        ("Jennifer Walsh", "en", "f"),
        ("Thomas Walsh", "en", "m"),
        ("Jürgen Schmidt", "de", "m"),
        ("Ursula Schmidt", "de", "f"),
        ("Frau Schmidt-Weiß", "de", None),
        ("François Petit", "fr", "m"),
        ("Carmen Ruiz", "es", "f"),
        ("Giuseppe Rossi", "it", "m"),
        ("Pieter de Vries", "nl", "m"),
        ("Łukasz Wójcik", "pl", "m"),
        ("Letícia Souza", "pt", "f"),
        ("Rahul Sharma", "in", "m"),
    ],
)
def test_a_name_keeps_its_language_and_gender(vault, name, locale, gender):
    made = vault.surrogate("PERSON", name)
    assert made.split()[-1] in FAMILY[locale]
    if gender:
        assert made.split()[0] in GIVEN[locale][gender]
    assert ("de" in name.split()) == ("de" in made.split())


def test_titles_initials_and_suffixes_stay_what_they_are(vault):
    made = vault.surrogate("PERSON", "Prof. J. R. van Dijk Jr.")
    assert re.fullmatch(r"Prof\. [A-Z]\. [A-Z]\. van \w+ Jr\.", made)
    assert vault.surrogate("PERSON", "Mrs Walsh").split()[0] == "Mrs"


IPV4 = r"(192\.0\.2|198\.51\.100|203\.0\.113)\.\d{1,3}"
CHECKED = {"CREDIT_CARD": luhn, "IBAN_CODE": iban_is_right, "IP_ADDRESS": ipaddress.ip_interface}


@pytest.mark.parametrize(
    ("kind", "value", "form"),
    [
        ("CREDIT_CARD", "4111 1111 1111 1111", r"4\d{3}( \d{4}){3}"),
        ("CREDIT_CARD", "378282246310005", r"3\d{14}"),
        ("IBAN_CODE", "DE89 3704 0044 0532 0130 00", r"DE\d\d( \d{4}){4} \d\d"),
        ("IBAN_CODE", "GB29NWBK60161331926819", r"GB\d\d[A-Z]{4}\d{14}"),
        ("PHONE_NUMBER", "+44 20 7946 0018", r"\+44 2\d \d{4} \d{4}"),
        ("PHONE_NUMBER", "(415) 555-2671", r"\(4\d\d\) \d{3}-\d{4}"),
        ("US_SSN", "536-90-4399", r"\d{3}-\d\d-\d{4}"),
        ("UK_NINO", "QQ 12 34 56 C", r"[A-Z]{2} \d\d \d\d \d\d [A-Z]"),
        ("IP_ADDRESS", "10.1.2.3", IPV4),
        ("IP_ADDRESS", "10.0.0.0/8", IPV4 + "/8"),
        ("IP_ADDRESS", "fe80::1/64", r"2001:db8::[0-9a-f]+:[0-9a-f]+/64"),
        ("MAC_ADDRESS", "00:1B:44:11:3A:B7", r"[0-9A-F]2(:[0-9A-F]{2}){5}"),
        ("URL", "https://intra.corp.example/people/7", r"https://www\.example\.com/[a-z]{8}"),
        ("LOCATION", "BERLIN", "|".join(map(str.upper, TOWNS))),
        ("ORGANIZATION", "Müller & Söhne GmbH", r"[A-Z]\w+( [A-Z]\w+)? GmbH"),
        ("STREET_ADDRESS", "12 Linden Road", r"\d+ [A-Z]\w+( \w+)*"),
    ],
)
def test_what_has_a_make_keeps_it(vault, kind, value, form):
    made = vault.surrogate(kind, value)
    assert made != value
    assert re.fullmatch(form, made), made
    assert CHECKED.get(kind, bool)(made)
    assert restore_text(f"It is {made}, they say.", vault) == f"It is {value}, they say."


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("SECRET", "sk-proj-1234567890abcdef"),
        ("CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
        ("DENY_LIST", "Falcon 9000"),
    ],
)
def test_of_what_nothing_realistic_can_be_made_there_is_a_placeholder(vault, kind, value):
    assert re.fullmatch(rf"\[{kind}_[A-Z0-9]{{5}}\]", vault.surrogate(kind, value))


def test_what_is_said_already_is_nobodys_surrogate():
    towns = Vault(b"2" * 32)
    towns.reserve([f"{town} is nice. " for town in TOWNS[:-1]])
    assert towns.surrogate("LOCATION", "Berlin") in (TOWNS[-1], towns.placeholder("LOCATION", "Berlin"))
    full = Vault(b"3" * 32)
    full.reserve([" ".join(TOWNS)])
    assert full.surrogate("LOCATION", "Berlin").startswith("[LOCATION_")


def test_two_values_never_share_one():
    vault, made = Vault(b"4" * 32), {}
    for number in range(300):
        for kind, value in (("PERSON", f"Mary Roe{'abcdefghij'[number % 10]}{number}"), ("LOCATION", f"Town{number}")):
            found = vault.surrogate(kind, value)
            assert made.setdefault(found, value) == value
    for found, value in made.items():
        assert restore_text(found, vault) == value


def test_scopes_share_nothing_and_one_scope_agrees_with_itself():
    one, same, other = Vault(b"5" * 32), Vault(b"5" * 32), Vault(b"6" * 32)
    values = [("PERSON", "Mary Roe"), ("PHONE_NUMBER", "+44 20 7946 0018"), ("IBAN_CODE", "DE89370400440532013000")]
    drawn = [[vault.surrogate(*value) for value in values] for vault in (one, same, other)]
    assert drawn[0] == drawn[1]
    assert not set(drawn[0]) & set(drawn[2])


def test_a_sealed_vault_restores_and_goes_on(pii):
    found = pii.redact_text(TEXT, RULES)
    again = Vault.open(found.vault.seal(b"k" * 32), b"k" * 32)
    assert restore_text(found.text, again) == TEXT
    assert again.surrogate("PERSON", "Mary Roe") == found.vault.surrogate("PERSON", "Mary Roe")
    assert "Mary Roe" in again.originals


# -- coming back ------------------------------------------------------------------------------------------------------


def test_it_comes_back_at_every_cut(pii):
    found = pii.redact_text(TEXT, RULES)
    for cut in range(len(found.text) + 1):
        assert streamed([found.text[:cut], found.text[cut:]], found.vault) == TEXT
    assert streamed(list(found.text), found.vault) == TEXT


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.data())
def test_it_comes_back_among_anything_cut_anywhere(data):
    vault = Vault(b"7" * 32)
    values = [
        ("PERSON", "Mary Roe"),
        ("PERSON", "Łukasz Wójcik"),
        ("PHONE_NUMBER", "+49 30 1234567"),
        ("LOCATION", "Rome"),
    ]
    known = {vault.surrogate(*value): value[1] for value in values} | {
        vault.placeholder("EMAIL_ADDRESS", "a@b.example"): "a@b.example"
    }
    glue = st.text(alphabet=" .,;:\n[]+-_()\"'éxq7", max_size=6).map(lambda text: f" {text} ")
    said, meant = "", ""
    for _ in range(data.draw(st.integers(1, 8))):
        between, made = data.draw(glue), data.draw(st.sampled_from(sorted(known)))
        said, meant = said + between + made, meant + between + known[made]
    said, meant = said + " .", meant + " ."
    cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=12)))
    pieces = [said[start:end] for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    whole = streamed([said], vault)
    assert streamed(pieces, vault) == whole
    assert whole == meant


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (lambda name: name.upper(), "Mary Roe"),
        (lambda name: name.lower(), "Mary Roe"),
        (lambda name: name.replace(" ", "\n  "), "Mary Roe"),
        (lambda name: name + "'s", "Mary Roe's"),
        (lambda name: f"**{name}**", "**Mary Roe**"),
        (lambda name: "Ms. " + name.split()[1], "Ms. Roe"),
        (lambda name: name.split()[0] + " said", "Mary said"),
    ],
)
def test_a_name_comes_back_as_models_write_it(vault, write, read):
    assert restore_text(write(vault.surrogate("PERSON", "Mary Roe")), vault) == read


def test_a_number_comes_back_in_other_groups(vault):
    made = vault.surrogate("PHONE_NUMBER", "+49 30 1234567")
    figures = "".join(filter(str.isdigit, made))
    for written in (
        f"+{figures}",
        f"+{figures[:2]}-{figures[2:4]}-{figures[4:]}",
        f"+{figures[:2]} ({figures[2:4]}) {figures[4:]}",
    ):
        assert streamed(list(f"Call {written}."), vault) == "Call +49 30 1234567."


def test_words_that_only_begin_or_end_like_one_stay(vault):
    made = vault.surrogate("PERSON", "Mary Roe").split()[1]
    for text in (f"{made}ish", f"un{made.lower()}", f"{made}2"):
        assert streamed(list(text), vault) == text


def test_a_placeholder_beside_surrogates_that_goes_on_is_none_of_ours(vault):
    vault.surrogate("PERSON", "Mary Roe")
    bare = vault.placeholder("EMAIL_ADDRESS", "a@b.example")[1:-1]
    assert streamed([bare, "x"], vault) == f"{bare}x"
    assert streamed([bare, "."], vault) == "a@b.example."


def test_people_with_different_names_keep_different_names(vault):
    families = ("Abbot", "Baker", "Cooper", "Draper", "Fisher", "Glover", "Hunter", "Mason", "Parker", "Sawyer")
    made = [vault.surrogate("PERSON", f"Mary {family}") for family in families]
    assert len({name.split()[1] for name in made}) == len(families)
    assert len({name.split()[0] for name in made}) == 1


def test_json_stays_json(vault):
    original = 'Łukasz "Luke"\nWójcik'
    made = vault.surrogate("PERSON", original)
    for document in (json.dumps({"who": made}), json.dumps({"who": made}, ensure_ascii=False)):
        assert json.loads(streamed(list(document), vault, json_escape=True)) == {"who": original}
        assert json.loads(restore_text(document, vault)) == {"who": original}
    assert restore_value({"a": [made, 1]}, vault) == {"a": [original, 1]}
    name = vault.surrogate("PERSON", "Mary Roe").split()[1]
    assert streamed(list(json.dumps(f"so\n{name}")), vault, json_escape=True) == json.dumps("so\nRoe")


def test_it_is_quick(pii):
    found = pii.redact_text(TEXT, RULES)
    answer = (found.text + " ") * 20
    began = time.process_time()
    for _ in range(10):
        restorer = Restorer(Vault.open(found.vault.seal(b"k" * 32), b"k" * 32))
        restorer.feed(answer)
    assert (time.process_time() - began) / 10 < 0.05


def test_every_name_is_in_one_list_of_its_kind():
    for lists in ([names for genders in GIVEN.values() for names in genders.values()], list(FAMILY.values())):
        for names in lists:
            assert len(set(names)) == len(names)
    assert surrogates.makes("PERSON", "x")
