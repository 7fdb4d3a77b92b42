"""Card numbers and keyed hashes: what may never be written, and what is written in its place."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field

_SEPARATORS = str.maketrans("", "", " -")
_CARD_DIGITS = re.compile(r"[0-9]{13,19}")

_ISSUERS = re.compile(
    "|".join(
        (
            r"4(?:\d{12}|\d{15}|\d{18})",  # Visa
            r"5[1-5]\d{14}|(?:222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}",  # Mastercard
            r"3[47]\d{13}",  # American Express
            r"3(?:0[0-5]|09|[689]\d)\d{11,16}",  # Diners Club
            r"35(?:2[89]|[3-8]\d)\d{12,15}",  # JCB
            r"(?:6011|64[4-9]\d|65\d\d)\d{12,15}",  # Discover
            r"(?:62|81)\d{14,17}",  # UnionPay
            r"(?:50|5[6-8]|6[0-9])\d{11,17}",  # Maestro
        )
    )
)
"""Whole numbers as the issuers' ranges and lengths have them (ISO/IEC 7812-1, the schemes' BIN tables)."""

_IN_TEXT = re.compile(r"(?<![0-9A-Za-z.])[0-9](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z]|\.[0-9])")
"""13 to 19 digits that stand alone: not inside a word, a hash or a fraction."""

PSEUDONYM_BYTES = 16
"""128 of HMAC-SHA-256's 256 bits: among 10^9 cards two agree with a chance of 10^-21."""

KEY_ID_PATTERN = r"^[a-z][a-z0-9]{0,15}$"
"""A key's id begins with a letter, so that no pseudonym can be taken for a card number."""


class CardNumberError(ValueError):
    """Not a card number, where one is needed. Its words do not repeat what was given."""


def is_card_number(text: str) -> bool:
    """Whether `text` as a whole is a payment card number: 13 to 19 digits (ISO/IEC 7812) with a right Luhn check digit."""
    digits = text.translate(_SEPARATORS)
    return bool(_CARD_DIGITS.fullmatch(digits)) and _luhn_sum(digits) % 10 == 0


def card_numbers_in(text: str) -> list[str]:
    """The card numbers that stand in a text, digits only: by check digit, and by the ranges and lengths that issuers use.

    Timestamps, fractions and hashes do not look like one; of ids that are 16 random digits about one in thirty does.
    """
    found = (match[0].translate(_SEPARATORS) for match in _IN_TEXT.finditer(text))
    return [digits for digits in found if _ISSUERS.fullmatch(digits) and _luhn_sum(digits) % 10 == 0]


def _luhn_sum(digits: str) -> int:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total


@dataclass(frozen=True, slots=True)
class PrivacyKey:
    """A secret key with a name. PCI DSS 4.0.1, 3.5.1.1: hashes of card data are keyed, over the whole of it."""

    key_id: str
    secret: bytes = field(repr=False)

    def hash(self, payload: bytes) -> str:
        """HMAC-SHA-256 of `payload`, hex."""
        return hmac.new(self.secret, payload, hashlib.sha256).hexdigest()

    def name(self, payload: bytes) -> str:
        """The same, its first PSEUDONYM_BYTES in base32 (RFC 4648), 26 lower-case characters: long runs of digits, which a
        scanner would take for a card number, do not come up in it."""
        digest = hmac.digest(self.secret, payload, "sha256")[:PSEUDONYM_BYTES]
        return base64.b32encode(digest).decode().rstrip("=").lower()


def pseudonym(card_number: str, key: PrivacyKey) -> str:
    """The card's id under a key: `KEY_ID:` and 26 characters. Spaces and dashes in the number make no difference.

    Raises CardNumberError for what is no card number: a mistyped one would become a card of its own.
    """
    if not is_card_number(card_number):
        raise CardNumberError("no card number: 13 to 19 digits with a right check digit are needed")
    return f"{key.key_id}:{key.name(card_number.translate(_SEPARATORS).encode())}"
