"""Card numbers found, and what stands in their place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.privacy import (
    CardNumberError,
    PrivacyKey,
    card_numbers_in,
    is_card_number,
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
