"""Card numbers found, and what stands in their place."""

import random
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.privacy import (
    CardNumberError,
    PrivacyKey,
    card_numbers_in,
    is_card_number,
    none_is_card_number,
    pseudonym,
)

KEY, OTHER = PrivacyKey("k1", b"one" * 11), PrivacyKey("k2", b"two" * 11)

PUBLISHED_TEST_NUMBERS = {
    "Visa": "4111111111111111",
    "Visa, 13 digits": "4222222222222",
    "Visa, 19 digits": "4000000000000000006",
    "Mastercard": "5555555555554444",
    "Mastercard of the 2-series": "2223003122003222",
    "American Express": "378282246310005",
    "Diners Club": "30569309025904",
    "Diners Club, 36": "36227206271667",
    "JCB": "3530111333300000",
    "Discover": "6011111111111117",
    "UnionPay": "6200000000000005",
    "Maestro": "6759649826438453",
}
NOT_CARD_NUMBERS = {
    "a moment in ms": '"event_time_ms":1577836800004',
    "a wrong check digit": "4111111111111112",
    "no issuer's range": "1234567812345670",
    "no issuer's length": "41111111111116",
    "inside a hash": "a4111111111111111f",
    "inside a longer number": "94111111111111111000",
    "a fraction": "0.4111111111111111",
    "a number with a fraction": "4111111111111111.25",
    "a UUID": "550e8400-e29b-41d4-a716-446655440000",
}


@pytest.mark.parametrize("number", PUBLISHED_TEST_NUMBERS.values(), ids=PUBLISHED_TEST_NUMBERS.keys())
@pytest.mark.parametrize("around", ["{}", '{{"pan":"{}"}}', "card {}, expired", "({})", "pan={}&x=1", "{}\n", "-{}-"])
def test_the_scanner_finds_every_issuers_numbers(number: str, around: str) -> None:
    """Numbers that payment processors publish for tests, in every surrounding in which text holds them."""
    assert is_card_number(number)
    assert card_numbers_in(around.format(number)) == [number]


def test_the_scanner_finds_numbers_written_in_groups() -> None:
    """As they are embossed, and as forms write them."""
    assert card_numbers_in("4111 1111 1111 1111 or 3782-822463-10005") == ["4111111111111111", "378282246310005"]


@pytest.mark.parametrize("text", NOT_CARD_NUMBERS.values(), ids=NOT_CARD_NUMBERS.keys())
def test_the_scanner_takes_nothing_else_for_one(text: str) -> None:
    """Else it would cry over every timestamp and hash."""
    assert card_numbers_in(text) == []


@given(st.sampled_from(sorted(PUBLISHED_TEST_NUMBERS.values())), st.binary(min_size=16, max_size=32))
def test_a_pseudonym_is_an_id_and_never_looks_like_a_card_number(number: str, secret: bytes) -> None:
    """It fits a card_id, and the scorer's fast look at its first letter clears it."""
    made = pseudonym(number, PrivacyKey("k1", secret))
    assert made[0].isalpha()
    assert len(made) <= 64
    assert not is_card_number(made)
    assert card_numbers_in(made) == []


def test_a_pseudonym_depends_on_the_number_and_on_the_key_and_on_nothing_else() -> None:
    """So a card's history stays together for as long as the key does."""
    made = pseudonym("4111111111111111", KEY)
    assert made == pseudonym("4111 1111-1111 1111", KEY)
    assert made != pseudonym("5555555555554444", KEY)
    assert made.partition(":")[0] == "k1"
    other = pseudonym("4111111111111111", OTHER)
    assert other.partition(":")[0] == "k2"
    assert other.partition(":")[2] != made.partition(":")[2]


def test_a_pseudonym_is_the_truncated_hmac_of_rfc_2104_in_base32() -> None:
    """Held to a value computed apart: a change of the form would part every card from its history."""
    key = PrivacyKey("k1", bytes(range(32)))
    assert pseudonym("4111111111111111", key) == "k1:ayrcieqbhavelejpwiucrm7x3m"


@pytest.mark.parametrize(
    "text", ["", "4111111111111112", "4111", "visa", "".join(chr(0xFF10 + int(d)) for d in "4111111111111111")]
)
def test_what_is_no_card_number_gets_no_pseudonym(text: str) -> None:
    """And is not repeated in the error."""
    with pytest.raises(CardNumberError) as caught:
        pseudonym(text, KEY)
    assert not text or text not in str(caught.value)


VISA = "4111111111111111"
DISGUISES = {
    "dots": "4111.1111.1111.1111",
    "underscores": "4111_1111_1111_1111",
    "slashes": "4111/1111/1111/1111",
    "two spaces": "4111  1111  1111  1111",
    "no-break spaces": "4111\u00a01111\u00a01111\u00a01111",
    "en dashes": "4111\u20131111\u20131111\u20131111",
    "no-break hyphens": "4111\u20111111\u20111111\u20111111",
    "full width": "".join(chr(0xFF10 + int(digit)) for digit in VISA),
    "Arabic digits": "".join(chr(0x660 + int(digit)) for digit in VISA),
    "a zero-width space": VISA[:8] + "\u200b" + VISA[8:],
    "a prefix": f"card:{VISA}",
    "a key's name": f"k1:{VISA}",
    "a word": f"pan{VISA}",
    "the words on cards": f"card{VISA}",
    "a brand": f"visa{VISA}",
    "another word": f"PREPAID{VISA}",
    "letters behind": f"{VISA}abc",
    "an expiry": f"{VISA}=2512",
    "an expiry behind a space": f"{VISA} 12/25",
    "padding": f"{VISA}F",
    "a letter that a hash has too": f"c{VISA}",
    "zeros": f"000{VISA}",
    "a sign": f"+{VISA}",
}


@pytest.mark.parametrize("text", DISGUISES.values(), ids=DISGUISES.keys())
def test_a_card_number_is_found_however_it_is_written(text: str) -> None:
    """By the one detector: in a card_id, in other ids, and in a batch at once."""
    assert is_card_number(text)
    assert card_numbers_in(text) == [VISA]
    assert not none_is_card_number(["k1:abc", text, "k1:def"])


@pytest.mark.parametrize("group", ["4 ", "0 ", "1-", "40 "])
def test_a_text_of_thousands_of_groups_of_digits_is_scanned_in_one_pass(group: str) -> None:
    """Each group was tried with every later one: a note of 1,000 characters took seconds, an id of 64 took 13 ms, this days."""
    assert card_numbers_in(group * 3_000) == []
    assert card_numbers_in("0 " * 10 + "4111 1111 1111 1111") == ["4111111111111111"]


def test_a_line_break_hides_no_card_number() -> None:
    """The old detector asked for digits alone."""
    assert is_card_number(f"{VISA}\n")


def test_ordinary_ids_are_rarely_taken_for_card_numbers() -> None:
    """Bounds over 20,000 random ids each: what the docstring says of them."""
    draw = random.Random(7)
    kinds = {
        "hex 64": (lambda: f"{draw.getrandbits(256):064x}", 0.0),
        "hex 16": (lambda: f"{draw.getrandbits(64):016x}", 0.0005),
        "UUID": (lambda: str(uuid.UUID(int=draw.getrandbits(128))), 0.0005),
        "10 digits": (lambda: str(draw.randrange(10**9, 10**10)), 0.0),
        "date and number": (
            lambda: f"2026-{draw.randrange(10, 13)}-{draw.randrange(10, 29)}-{draw.randrange(10**6):06d}",
            0.0,
        ),
        "16 digits": (lambda: str(draw.randrange(10**15, 10**16)), 0.05),
    }
    for name, (make, share_max) in kinds.items():
        assert sum(bool(card_numbers_in(make())) for _ in range(20_000)) <= share_max * 20_000, name


@given(st.lists(st.text("0123456789abk:,-. \n\u0660", min_size=1, max_size=24), max_size=8))
@example(["4111111,111111111"])
@example(["41111111\n11111111"])
def test_a_batch_is_beyond_doubt_exactly_where_each_id_is(ids: list[str]) -> None:
    """The fast look never lets through what the slow one finds."""
    assert none_is_card_number(ids) == (not any(map(is_card_number, ids)))
