"""Personal data that nobody has: values with right check digits, and sentences that hold them."""

from __future__ import annotations

import random
import string

from hypothesis import strategies as st

SENTENCES = {
    "EMAIL_ADDRESS": "Please send the contract by e-mail to {}.",
    "CREDIT_CARD": "The customer paid with credit card {}.",
    "IBAN_CODE": "Transfer the refund to the IBAN {} today.",
    "PHONE_NUMBER": "Call the customer back by phone at {}.",
    "US_SSN": "The applicant's social security number (SSN) is {}.",
}
BARE = {
    "EMAIL_ADDRESS": "The answer is {} and no other.",
    "CREDIT_CARD": "The answer is {} and no other.",
    "IBAN_CODE": "The answer is {} and no other.",
    "PHONE_NUMBER": "The answer is {} and no other.",
    "US_SSN": "The answer is {} and no other.",
}
NAMES = ("siobhan", "mateusz", "ngozi", "thibault", "yevgenia", "ricarda", "oluwaseun", "gwendolyn")
AREAS = ("212", "415", "617", "312", "305")


def digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choices(string.digits, k=count))


def with_check_digit(number: str) -> str:
    """A card number: the check digit is found by trying."""
    for last in string.digits:
        total = 0
        for index, digit in enumerate(reversed(number + last)):
            value = int(digit) * (2 if index % 2 else 1)
            total += value - 9 if value > 9 else value
        if total % 10 == 0:
            return number + last
    raise AssertionError


def email(chance: random.Random) -> str:
    tail = "".join(chance.choices(string.ascii_lowercase, k=8))
    return f"{chance.choice(NAMES)}.{tail}@mailbox-{digits(chance, 4)}.com"


def card(chance: random.Random) -> str:
    number = with_check_digit(chance.choice("45") + chance.choice("12345") + digits(chance, 13))
    separator = chance.choice(["", " ", "-"])
    return separator.join(number[i : i + 4] for i in range(0, 16, 4))


def iban(chance: random.Random) -> str:
    country, length = chance.choice([("DE", 18), ("FR", 23), ("ES", 20), ("PL", 24), ("NO", 11)])
    account = digits(chance, length)
    number = int("".join(str(int(character, 36)) for character in account + country + "00"))
    value = f"{country}{98 - number % 97:02d}{account}"
    return value if chance.random() < 0.5 else " ".join(value[i : i + 4] for i in range(0, len(value), 4))


def phone(chance: random.Random) -> str:
    area, office, line = chance.choice(AREAS), chance.choice(["555", "556", "778"]), f"{chance.randint(1000, 9999)}"
    return chance.choice(["+1 {} {} {}", "+1-{}-{}-{}", "({}) {}-{}", "{}-{}-{}", "+1{}{}{}"]).format(
        area, office, line
    )


def ssn(chance: random.Random) -> str:
    return f"{chance.randint(101, 665)}-{chance.randint(10, 99)}-{chance.randint(1000, 9998)}"


MAKERS = {"EMAIL_ADDRESS": email, "CREDIT_CARD": card, "IBAN_CODE": iban, "PHONE_NUMBER": phone, "US_SSN": ssn}


def make(seed: int) -> dict[str, str]:
    """{type: a value}, the same for the same seed."""
    chance = random.Random(seed)
    return {kind: maker(chance) for kind, maker in MAKERS.items()}


def sentence(values: dict[str, str], sentences: dict[str, str] = SENTENCES) -> str:
    return " ".join(sentences[kind].format(value) for kind, value in values.items())


values = st.integers(min_value=0, max_value=2**32).map(make)
"""A strategy of {type: value}."""
noise = st.text(
    st.one_of(
        st.sampled_from(list(" ,.;:-()[]{}\"'\\/\n\t_@+#%&=0123456789")),
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("abcdefghijklmnopqrstuvwxyzEMAILADDRESSPHONE"),
    ),
    max_size=40,
)
"""A strategy of text that may hold anything, often what matters to the parts of this package."""
