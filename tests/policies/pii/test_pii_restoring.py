"""Restoring: exact at every cut, tolerant where it is unmistakable, valid JSON in JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import noise

from policies.pii.errors import TooDeep
from policies.pii.restore import Restorer, restore_text, restore_value
from policies.pii.vault import Vault

EMAIL = "alice.roe@acme.example"


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.fixture
def vault() -> Vault:
    vault = Vault(b"1" * 32)
    vault.placeholder("EMAIL_ADDRESS", EMAIL)
    return vault


@pytest.fixture
def token(vault) -> str:
    """The id of Alice's placeholder."""
    return vault.placeholder("EMAIL_ADDRESS", EMAIL)[-6:-1]


def streamed(pieces, vault, json_escape=False) -> str:
    restorer = Restorer(vault, json_escape)
    return "".join([*map(restorer.feed, pieces), restorer.flush()])


FORMS = [
    ("[EMAIL_ADDRESS_{id}]", EMAIL),
    ("[EMAIL_ADDRESS_{id}]'s", EMAIL + "'s"),
    ("[[EMAIL_ADDRESS_{id}]]", f"[{EMAIL}]"),
    ("x[EMAIL_ADDRESS_{id}]y", f"x{EMAIL}y"),
    ("[email_address_{id}]", EMAIL),
    ("[Email_Address_{id}]", EMAIL),
    ("[EMAIL ADDRESS {id}]", EMAIL),
    ("[ EMAIL-ADDRESS-{id} ]", EMAIL),
    (r"[EMAIL\_ADDRESS\_{id}]", EMAIL),
    ("EMAIL_ADDRESS_{id}", EMAIL),
    ("email_address_{id}.", EMAIL + "."),
    (r"EMAIL\_ADDRESS\_{id},", EMAIL + ","),
    ("[EMAIL_ADDRESS_{id} or so]", f"[{EMAIL} or so]"),
    ("**EMAIL_ADDRESS_{id}**", f"**{EMAIL}**"),
    ("[see EMAIL_ADDRESS_{id}]", f"[see {EMAIL}]"),
]
LEFT = [
    "EMAIL ADDRESS {id}",
    "[PERSON_{id}]",
    "{id}",
    "_{id}",
    "EMAIL_ADDRESS_{id}X",
    "XEMAIL_ADDRESS_{id}",
    "[EMAIL_ADDRESS_22222]",
    "EMAIL_ADDRESS",
]


@pytest.mark.parametrize(("form", "expected"), FORMS)
@pytest.mark.parametrize("lower", [False, True])
def test_it_restores_what_is_unmistakable(vault, token, form, expected, lower):
    text = form.format(id=token.lower() if lower else token)
    assert restore_text(f"To {text} now", vault) == f"To {expected} now"
    assert restore_text(text, vault) == expected


@pytest.mark.parametrize("form", LEFT)
def test_it_leaves_what_may_be_something_else(vault, token, form):
    text = form.format(id=token)
    assert restore_text(f"To {text} now", vault) == f"To {text} now"


def test_the_type_must_be_the_entrys_own(vault, token):
    vault.placeholder("PERSON", "Mary Roe")
    assert restore_text(f"[PERSON_{token}]", vault) == f"[PERSON_{token}]"


@pytest.mark.parametrize("form", [form for form, _ in FORMS] + LEFT)
def test_every_cut_gives_the_same(vault, token, form):
    text = f"To {form.format(id=token)} and [{form.format(id=token)}" + form.format(id=token)
    whole = restore_text(text, vault)
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            assert streamed([text[:first], text[first:second], text[second:]], vault) == whole, (first, second)
    assert streamed(text, vault) == whole


@st.composite
def answers(draw):
    """(vault, answer, cuts): anything, with placeholders and their ruins in between."""
    vault = Vault(b"1" * 32)
    originals = ["alice@acme.example", "+1 415 555 0134", "[EMAIL_ADDRESS_23456]", 'say "x"\\\n\x07😀']
    placeholders = [
        vault.placeholder(kind, value) for kind in ("EMAIL_ADDRESS", "PERSON", "SECRET") for value in originals
    ]
    ruin = st.sampled_from(placeholders).flatmap(lambda p: st.integers(0, len(p)).map(lambda n: p[:n]))
    altered = st.sampled_from(
        [
            *map(str.lower, placeholders),
            *(p.strip("[]") for p in placeholders),
            *(p.replace("_", " ") for p in placeholders),
        ]
    )
    part = st.one_of(noise, st.sampled_from(placeholders), ruin, altered)
    text = "".join(draw(st.lists(part, max_size=8)))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return vault, text, cuts


@examples(600)
@given(answers(), st.booleans())
def test_the_result_does_not_depend_on_the_cuts(answer, json_escape):
    vault, text, cuts = answer
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole = streamed([text], vault, json_escape)
    assert streamed(pieces, vault, json_escape) == whole
    assert streamed(text, vault, json_escape) == whole


@examples(300)
@given(noise, noise)
def test_a_text_without_placeholders_passes_as_it_is(one, other):
    vault = Vault(b"1" * 32)
    vault.placeholder("EMAIL_ADDRESS", EMAIL)
    assert streamed([one, other], vault) == one + other


def test_only_what_may_be_a_placeholder_is_held_back(vault, token):
    restorer = Restorer(vault)
    assert restorer.feed("Dear reader, ") == "Dear reader, "
    assert restorer.feed("see [EMAIL_ADD") == "see "
    assert restorer.feed("RESS_") == ""
    assert restorer.feed(token + "] and") == EMAIL + " and"
    assert restorer.feed(" [1] is") == " [1] is"
    assert restorer.feed(" [EMAIL_ADDS ") == " [EMAIL_ADDS "
    assert restorer.flush() == ""
    assert restorer.restored == 1


def test_an_empty_vault_holds_nothing_back():
    restorer = Restorer(Vault())
    assert restorer.feed("[EMAIL_ADD") == "[EMAIL_ADD"
    assert restorer.flush() == ""


def test_what_was_put_in_is_not_looked_at_again():
    vault = Vault(b"1" * 32)
    inner = vault.placeholder("PERSON", "Mary Roe")
    outer = vault.placeholder("SECRET", f"key {inner}")
    assert restore_text(outer, vault) == f"key {inner}"


NASTY = ['say "hi"', "back\\slash", "new\nline\ttab", "bell\x07null\x00", "emoji 😀 é", "</script>", "\u2028", "\ud800"]


@pytest.mark.parametrize("original", NASTY)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_tool_arguments_stay_json_whatever_is_put_in(original, ascii_only):
    vault = Vault(b"1" * 32)
    placeholder = vault.placeholder("SECRET", original)
    arguments = json.dumps(
        {"text": f'a "{placeholder}" b', "list": [placeholder], placeholder: 1}, ensure_ascii=ascii_only
    )
    expected = {"text": f'a "{original}" b', "list": [original], original: 1}
    for size in range(1, 9):
        pieces = [arguments[i : i + size] for i in range(0, len(arguments), size)]
        assert json.loads(streamed(pieces, vault, json_escape=True)) == expected
    assert json.loads(restore_text(arguments, vault)) == expected


@pytest.mark.parametrize("original", NASTY)
def test_json_in_json_stays_json_in_a_whole_answer(original):
    vault = Vault(b"1" * 32)
    placeholder = vault.placeholder("SECRET", original)
    arguments = json.dumps({"body": json.dumps({"to": [placeholder]})})
    assert json.loads(json.loads(restore_text(arguments, vault))["body"]) == {"to": [original]}


def test_a_whole_answer_is_restored_everywhere(vault):
    placeholder = vault.placeholder("EMAIL_ADDRESS", EMAIL)
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "note", "arguments": json.dumps({"to": placeholder})},
    }
    message = {
        "role": "assistant",
        "content": f"To {placeholder}",
        "reasoning_content": placeholder,
        "refusal": placeholder,
        "tool_calls": [call],
    }
    answer = {
        "choices": [{"index": 0, "message": message}],
        "usage": {"total_tokens": 3},
        "x": {placeholder: [placeholder]},
    }
    expected = json.loads(json.dumps(answer).replace(placeholder, EMAIL))
    assert restore_value(answer, vault) == expected


def test_an_answer_that_is_nested_beyond_reason_is_refused_and_such_a_text_is_plain(vault):
    text = "[" * 100_000 + vault.placeholder("EMAIL_ADDRESS", EMAIL)
    assert restore_value(text, vault).endswith(EMAIL)
    answer: object = text
    for _ in range(300):
        answer = [answer]
    with pytest.raises(TooDeep):
        restore_value(answer, vault)


def test_an_answer_with_nothing_to_restore_is_the_same_object(vault):
    answer = {"choices": [{"message": {"role": "assistant", "content": "Hello [1] [2]_"}}], "usage": {"n": 1}}
    assert restore_value(answer, vault) is answer
    assert restore_value(answer, Vault()) is answer
