"""Card numbers and keyed hashes: what may never be written, and what is written in its place."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field

_SEPARATORS = str.maketrans("", "", " -")
_CARD_DIGITS = re.compile(r"[0-9]{13,19}")


def is_card_number(text: str) -> bool:
    """Whether `text` as a whole is a payment card number: 13 to 19 digits (ISO/IEC 7812) with a right Luhn check digit."""
    digits = text.translate(_SEPARATORS)
    return bool(_CARD_DIGITS.fullmatch(digits)) and _luhn_sum(digits) % 10 == 0


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
