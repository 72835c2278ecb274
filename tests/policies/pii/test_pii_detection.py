"""What is found, what is not, and that neither the prefilter nor a cut makes a difference."""

from __future__ import annotations

import base64
import random
import re
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import BARE, SENTENCES, make, noise, sentence, values

from policies.pii import credentials, engine, finders, prefilter
from policies.pii.choices import PRESIDIO, Choice
from policies.pii.data import Entity
from policies.pii.engine import Engine, PatternDetector, _presidio_recognizer_classes, hint_words
from policies.pii.errors import DetectorFailed, TextTooLarge
from policies.pii.recognizers import OWN, Recognizer

ENGINE = Engine()
WITHOUT_PREFILTER = Engine(prefilter=False)


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def found(text: str, hint: str = "") -> set[tuple[str, str]]:
    """What is surely found: (type, text)."""
    return {
        (entity.type, text[entity.start : entity.end]) for entity in ENGINE.detect(text, hint) if entity.score >= 0.5
    }


FINDS = [
    ("EMAIL_ADDRESS", "Write to {}, please.", "alice.o'neil+tag@sub.acme-corp.example"),
    ("EMAIL_ADDRESS", "<{}>", "jürgen@müller.example"),
    ("EMAIL_ADDRESS", "mailto:{}?x=1", "a@b.co"),
    ("EMAIL_ADDRESS", "mail {} or not", "h.nilsson[at]acme[dot]example"),
    ("CREDIT_CARD", "paid with {} today", "4111 1111 1111 1111"),
    ("CREDIT_CARD", "paid with {} today", "4111-1111-1111-1111"),
    ("CREDIT_CARD", "paid with {}.", "4111111111111111"),
    ("CREDIT_CARD", "amex {}", "3782 822463 10005"),
    ("CREDIT_CARD", "mc {}", "2223 0031 2200 3222"),
    ("CREDIT_CARD", "typed as {}", "4111-1111.1111 1111"),
    ("CREDIT_CARD", "番号{}です", "4111111111111111"),
    ("IBAN_CODE", "to {} today", "DE44500105175407324931"),
    ("IBAN_CODE", "to {} 2 days ago", "DE44 5001 0517 5407 3249 31"),
    ("IBAN_CODE", "to {} USD 100 NOW", "GB82 WEST 1234 5698 7654 32"),
    ("IBAN_CODE", "iban: {}", "de44500105175407324931"),
    ("IBAN_CODE", "IBAN {}, misspelt", "DE45500105175407324931"),
    ("PHONE_NUMBER", "at {} today", "+1 415 555 0134"),
    ("PHONE_NUMBER", "at {} 2024", "+1 415 555 0134"),
    ("PHONE_NUMBER", "at {}", "+49 (0)30 1234567"),
    ("PHONE_NUMBER", "at {}", "0049 30 1234567"),
    ("PHONE_NUMBER", "at {}", "(415) 555-0134"),
    ("PHONE_NUMBER", "at {} or so", "415.555.0134"),
    ("PHONE_NUMBER", "at {}", "020 7946 0958"),
    ("PHONE_NUMBER", "at {}", "0171 1234567"),
    ("PHONE_NUMBER", "at {}", "01 23 45 67 89"),
    ("PHONE_NUMBER", "phone: {}", "4155550134"),
    ("PHONE_NUMBER", "ring me: {}", "555-0134"),
    ("US_SSN", "is {}.", "536-90-4399"),
    ("US_SSN", "is {}.", "123-45-6789"),
    ("US_SSN", "my SSN: {}", "536904399"),
    ("US_SSN", "is {}", "536 90 4399"),
    ("US_SSN", "ssn {}", "078051120"),
    ("US_ITIN", "is {}", "912-70-1234"),
    ("US_PASSPORT", "passport no. {}", "123456789"),
    ("US_BANK_NUMBER", "account number {}", "12345678901"),
    ("UK_NINO", "is {}", "AB 12 34 56 C"),
    ("UK_NHS", "is {}", "943 476 5919"),
    ("IP_ADDRESS", "host {}:80", "192.168.7.21"),
    ("IP_ADDRESS", "host {}", "2001:db8::8a2e:370:7334"),
    ("MAC_ADDRESS", "nic {}", "00:1A:2B:3C:4D:5E"),
    ("URL", "see {}, and", "https://intranet.acme.example/people/alice"),
    ("CRYPTO", "wallet {}", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"),
    ("CRYPTO", "wallet {}", "0x52908400098527886E0F7030069857D2E4169EE7"),
    ("MEDICAL_LICENSE", "DEA {}", "BB1388568"),
    ("ES_NIF", "dni {}", "12345678Z"),
    ("IT_FISCAL_CODE", "cf {}", "RSSMRA85T10A562S"),
    ("PL_PESEL", "is {}", "44051401359"),
    ("SG_NRIC_FIN", "is {}", "S1234567D"),
    ("IN_PAN", "is {}", "ABCPE1234F"),
    ("IN_AADHAAR", "aadhaar {}", "2345 6789 0124"),
    ("FI_PERSONAL_IDENTITY_CODE", "is {}", "131052-308T"),
    ("TR_NATIONAL_ID", "is {}", "10000000146"),
    ("AU_TFN", "my tax file number is {}", "876 543 210"),
    ("DATE_TIME", "born on {} in York", "12 March 1985"),
    ("DATE_TIME", "date of birth: {}", "1985-03-12"),
    ("SECRET", "use {} now", "sk-ch-abcd1234efgh5678-ijkl"),
    ("SECRET", "use {}", "AKIAIOSFODNN7EXAMPLE"),
    ("SECRET", "use {}", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
    ("SECRET", "use {}", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THs"),
    ("SECRET", "use {}", "postgres://alice:hunter2@db.acme.example:5432/books"),
    ("SECRET", "password = '{}'", "hunter2!"),
    ("SECRET", "The password is {}.", "correct7horse"),
    ("SECRET", '{{"db_password": "{}"}}', "opensesame"),
    ("SECRET", "Authorization: Bearer {}", "abcdefghijklmnop1234567890"),
    ("SECRET", "key:\n{}\n", "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "around", "value"), FINDS)
def test_it_finds(kind, around, value):
    assert (kind, value) in found(around.format(value))


@pytest.mark.parametrize(
    "text",
    [
        "The meeting is on 2024-05-01 at 10:30, see chapter 3.2.1 and section 4.",
        "Version 1.2.3 was released on 12.03.2024; build 20240312.",
        "def my_function(self, value: int = 123456) -> None: return super().method(value)",
        "Order 1234567890 has 12 items for 1,234,567.89 EUR in total.",
        "It started at 1700000000 and ended at 1700000000123.",
        "a = [0.30000000000000004, 0.1234567890123, 3.141592653589793]",
        "node.js, e.g. and i.e. are not links; README.md is a file.",
        "password: required, token: string, secret = os.environ['SECRET']",
        "max_tokens: 4096, temperature: 0.7",
        "En marzo de 2009 se pide que paciente de 66 años de edad sea vista, y de 45 that this with more",
        "Chapter 11 tells of 2,000,000 people and 300 ships.",
        "the commit 3f2504e04f8911d39a0c0305e82c3301 and the uuid 550e8400-e29b-41d4-a716-446655440000",
        "@alice mentioned #123 in owner/repository@v1.2.3",
        "localhost is 127.0.0.1 or ::1, everything is 0.0.0.0",
    ],
)
def test_ordinary_text_stays_as_it_is(text):
    assert found(text) == set()


def test_it_tells_places_in_code_points_of_the_original():
    text = "😀 é\u200b alice@acme.example 😀"
    (entity,) = ENGINE.detect(text)
    assert text[entity.start : entity.end] == "alice@acme.example"


@examples(100)
@given(values, st.sampled_from([SENTENCES, BARE]))
def test_every_format_is_found_with_and_without_context(made, sentences):
    text = sentence(made, sentences)
    for kind, value in made.items():
        start = text.index(value)
        assert any(
            entity.type == kind and entity.start <= start and entity.end >= start + len(value) and entity.score >= 0.5
            for entity in ENGINE.detect(text)
        ), (kind, value)


DISGUISES = {
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "zero width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent twice": lambda text: "".join(f"%25{byte:02x}" for byte in text.encode()),
    "entities": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "escapes": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "base64": lambda text: base64.b64encode(f"it is {text} here".encode()).decode(),
    "base64 for links": lambda text: base64.urlsafe_b64encode(f"it is {text} ??>> here".encode()).decode(),
    "hex": lambda text: f"it is {text} here".encode().hex(),
    "look-alikes": lambda text: text.translate(str.maketrans("aeocpxAEOCPX", "аеосрхАЕОСРХ")),
    "mathematical digits": lambda text: "".join(chr(0x1D7CE + int(c)) if c.isdigit() else c for c in text),
    "Arabic digits": lambda text: "".join(chr(0x0660 + int(c)) if c.isdigit() else c for c in text),
    "upper case": str.upper,
    "no-break spaces": lambda text: text.replace(" ", "\u00a0").replace("-", "\u2011"),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("seed", range(3))
def test_it_finds_what_is_disguised(disguise, seed):
    for kind, value in make(seed).items():
        hidden = DISGUISES[disguise](value)
        text = f"The answer is {hidden} and no other."
        covered = [(e.start, e.end) for e in ENGINE.detect(text) if e.score >= 0.5 and e.type == kind]
        at = text.index(hidden)
        assert any(start <= at and end >= at + len(hidden) for start, end in covered), (kind, value, covered)


def test_a_fields_name_is_context():
    assert found("536904399") == set()
    assert found("536904399", "customerSsn") == {("US_SSN", "536904399")}
    assert found("4155550134", "phone_number") == {("PHONE_NUMBER", "4155550134")}
    assert found("opensesame", "db-password") == {("SECRET", "opensesame")}
    assert hint_words("customerSsn.old_value") == "customer ssn old value"


# --- the prefilter ---------------------------------------------------------------------------------------------------


def presidio_patterns() -> list[tuple[Choice, str]]:
    with _presidio_recognizer_classes() as load:
        return [
            (choice, pattern.regex.replace("(?i)", ""))
            for choice in PRESIDIO
            for pattern in load(choice)().patterns
            if not pattern.name.startswith(choice.without or ("\0",))
        ]


@pytest.mark.parametrize(
    ("choice", "expression"), [pytest.param(c, e, id=f"{c.name}-{i}") for i, (c, e) in enumerate(presidio_patterns())]
)
def test_the_prefilter_lets_through_whatever_a_pattern_of_presidio_can_match(choice, expression):
    words = choice.context.words if choice.context else ("id", "number")

    @examples(12)
    @given(
        st.from_regex(re.compile(expression, re.IGNORECASE | re.ASCII)), st.sampled_from(words), st.sampled_from(words)
    )
    def check(matching, before, after):
        text = f"{before} {matching} {after}"
        assert ENGINE.detect(text) == WITHOUT_PREFILTER.detect(text)
        assert ENGINE.detect(matching, before) == WITHOUT_PREFILTER.detect(matching, before)

    check()


OWN_PATTERNS = [
    finders._URL,
    finders._CARD,
    finders._IBAN,
    finders._INTERNATIONAL,
    finders._AMERICAN,
    finders._TRUNK,
    finders._LOOSE,
    credentials._BLOCK_BEGIN,
    credentials._ASSIGNED,
    re.compile(credentials.CONNECTION_STRING, re.ASCII | re.IGNORECASE),
    re.compile(credentials.BEARER, re.ASCII | re.IGNORECASE),
    *(re.compile(f"(?:{shape})", re.ASCII) for shape in credentials._SHAPES),
]


@pytest.mark.parametrize("pattern", OWN_PATTERNS, ids=lambda pattern: pattern.pattern[:30])
def test_the_prefilter_lets_through_whatever_a_pattern_of_ours_can_match(pattern):
    @examples(30)
    @given(st.from_regex(pattern), st.sampled_from(["", "phone ", "iban ", "number "]))
    def check(matching, before):
        assert ENGINE.detect(before + matching) == WITHOUT_PREFILTER.detect(before + matching)

    check()


def test_without_hyperscan_the_same_is_found(monkeypatch):
    monkeypatch.setattr(prefilter, "hyperscan", None)
    detector = PatternDetector()
    for _, around, value in FINDS:
        assert tuple(detector.detect(around.format(value))) == ENGINE.detect(around.format(value))


@examples(300)
@given(
    st.lists(
        st.one_of(noise, values.map(sentence), st.sampled_from([around.format(value) for _, around, value in FINDS])),
        max_size=4,
    )
)
def test_the_prefilter_makes_no_difference(parts):
    text = "".join(parts)
    assert ENGINE.detect(text) == WITHOUT_PREFILTER.detect(text)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_the_prefilter_makes_no_difference_to_disguises(disguise):
    text = DISGUISES[disguise](sentence(make(7)))
    assert ENGINE.detect(text) == WITHOUT_PREFILTER.detect(text)


def test_a_clue_that_is_wrong_would_be_noticed():
    wrong = Recognizer("email", OWN[0].find, "no such clue")
    text = "alice@acme.example"
    assert PatternDetector(recognizers=[wrong]).detect(text) != PatternDetector(
        recognizers=[wrong], prefilter=False
    ).detect(text)


# --- long texts ------------------------------------------------------------------------------------------------------


def long_text(chance: random.Random, size: int) -> str:
    """Words with samples of everything at any place."""
    pieces: list[str] = []
    length = 0
    while length < size:
        if chance.random() < 0.08:
            _, around, value = chance.choice(FINDS)
            piece = around.format(value)
        elif chance.random() < 0.05:
            piece = chance.choice(list(make(chance.randrange(10**6)).values()))
        else:
            piece = chance.choice(
                ["the", "contract", "1234", "of", "ship-ment", "(see", "above)", "é", "2024", "account"]
            )
        pieces.append(piece)
        length += len(piece) + 1
    return chance.choice([" ", "\n", ", "]).join(pieces)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_on_a_cut_is_missed(seed):
    text = long_text(random.Random(seed), 20_000)
    whole = Engine(piece=10**9)
    in_pieces = Engine(piece=4_096)
    sure = {entity for entity in whole.detect(text) if entity.score >= 0.5}
    assert sure
    covered = [False] * len(text)
    for entity in in_pieces.detect(text):
        covered[entity.start : entity.end] = [True] * (entity.end - entity.start)
    assert [entity for entity in sure if not all(covered[entity.start : entity.end])] == []


@pytest.mark.parametrize("seed", range(8))
def test_looking_only_around_anchors_makes_no_difference(seed, monkeypatch):
    chance = random.Random(seed)
    text = long_text(chance, 3_000)
    for _ in range(40):
        at = chance.randrange(len(text))
        text = text[:at] + " words that hold nothing at all" * chance.randrange(1, 9) + text[at:]
    around_anchors = ENGINE.detect(text)
    monkeypatch.setattr(engine, "WHOLE", 10**9)
    assert around_anchors == ENGINE.detect(text)


@pytest.mark.parametrize("start", range(4_096 - 1_024 - 60, 4_096 + 60, 7))
def test_an_address_is_found_whole_wherever_the_cut_is(start):
    text = "x " * (start // 2) + "alice.roe@mail.acme.example" + " x" * 4_000
    assert {text[e.start : e.end] for e in Engine_4096.detect(text)} == {"alice.roe@mail.acme.example"}


Engine_4096 = Engine(piece=4_096)


def test_what_is_longer_than_a_piece_is_found_whole():
    block = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0B\n" * 300 + "-----END PRIVATE KEY-----"
    text = "words and words " * 200 + block + " words and words" * 400
    assert block in {text[e.start : e.end] for e in Engine_4096.detect(text) if e.type == "SECRET"}


@pytest.mark.parametrize("start", range(2_900, 4_100, 100))
def test_a_token_whose_first_part_is_cut_is_found_whole(start):
    token = "eyJ" + "a" * 700 + "." + "b" * 40 + ".c"
    text = "x " * (start // 2) + token + " x" * 4_000
    assert token in {text[e.start : e.end] for e in Engine_4096.detect(text)}


def test_what_is_hidden_in_a_long_run_of_base64_is_found():
    hidden = base64.b64encode(("words and words " * 500 + "alice@acme.example" + " words" * 500).encode()).decode()
    text = "words and words " * 300 + hidden + " words and words" * 300
    assert ("EMAIL_ADDRESS", hidden) in {(e.type, text[e.start : e.end]) for e in Engine_4096.detect(text)}


def test_a_long_text_of_one_kind_takes_no_more_time_than_its_length_asks():
    for character in "a1@.-/+%A:":
        ENGINE.detect(character * 200_000)
    for pattern in ("1 ", "a@", "12-", "%41", "a.", "::", "0x"):
        ENGINE.detect(pattern * 50_000)


# --- bad days --------------------------------------------------------------------------------------------------------


class Broken:
    version = "broken"

    def detect(self, text: str) -> list[Entity]:
        raise RuntimeError(f"cannot read {text}")


class Names:
    """A detector as another may write one."""

    version = "names-1"

    def detect(self, text: str) -> list[Entity]:
        return [Entity("PERSON", match.start(), match.end(), 0.9) for match in re.finditer("Mary Roe", text)]


def test_a_detector_that_breaks_down_fails_the_detection_without_quoting_the_text():
    with pytest.raises(DetectorFailed) as failed:
        Engine([Broken()]).detect("alice@acme.example")
    assert "alice" not in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


def test_another_detector_is_asked_as_well_and_changes_the_version():
    engine = Engine([Names()])
    assert {entity.type for entity in engine.detect("Mary Roe, alice@acme.example")} == {"PERSON", "EMAIL_ADDRESS"}
    assert engine.version != ENGINE.version


def test_too_long_a_text_is_refused():
    with pytest.raises(TextTooLarge):
        Engine(max_characters=100).detect("x" * 101)


def test_a_text_that_takes_too_long_fails():
    with pytest.raises(DetectorFailed, match="took more than"):
        Engine(time_limit=0.0).detect("words " * 10_000)


def test_half_a_surrogate_pair_breaks_nothing():
    text = "\ud83d alice@acme.example \udc00"
    assert ("EMAIL_ADDRESS", "alice@acme.example") in found(text)


def test_importing_the_engine_loads_no_language_model():
    code = (
        "import sys; from policies.pii.engine import Engine; Engine();"
        "sys.exit('spacy' in sys.modules or 'presidio_analyzer' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
