"""Card numbers and keyed hashes: what may never be written, and what is written in its place."""

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Mapping, Sequence
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

_GAP = r"[ ._/\u00b7\u2010-\u2015\u2212\-]"
_RUN = re.compile(
    rf"(?<![0-9A-Za-z])((?:(?=[A-Za-z]*[G-Zg-z])[A-Za-z]{{1,16}})?)([0-9]+(?:{_GAP}{{1,3}}[0-9]+)*)([A-Za-z]{{0,8}})(?![0-9A-Za-z])"
)
"""Groups of digits: alone, behind a short word (`pan4111...`) or before its padding; not inside a hash."""
_BEHIND_HEX = re.compile(r"(?<![0-9A-Za-z])[A-Fa-f]{1,4}([0-9]{13,19})(?![0-9A-Za-z])")
"""The same behind letters that a hash has too, where that is the whole word: `c4111...`."""
_GROUP = re.compile(r"[0-9]+")
_DIGITS_MIN, _DIGITS_MAX = 13, 19
_GROUPS_MAX = 2 * _DIGITS_MAX
"""Of one number, leading zeros among them: what looks like a thousand would cost seconds."""
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_LONG_RUN = b"0" * _DIGITS_MIN
_DIGITS_ALIKE = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))
_END = "\n"
_NOT_COUNTED = bytes(byte for byte in range(128) if not chr(byte).isalnum() and byte != ord(_END))

PSEUDONYM_BYTES = 16
"""128 of HMAC-SHA-256's 256 bits: among 10^9 cards two agree with a chance of 10^-21."""

KEY_ID_PATTERN = r"^[a-z][a-z0-9]{0,15}$"
"""A key's id begins with a letter, so that no pseudonym can be taken for a card number."""


class CardNumberError(ValueError):
    """Not a card number, where one is needed. Its words do not repeat what was given."""


def is_card_number(text: str) -> bool:
    """Whether `text` is a payment card number or holds one: what no id may be.

    As a whole: 13 to 19 digits (ISO/IEC 7812) with a right Luhn check digit, whatever separates them.
    Within: as `card_numbers_in`.
    """
    plain = _plain(text)
    digits = "".join(_GROUP.findall(plain))
    whole = _DIGITS_MIN <= len(digits) <= _DIGITS_MAX and not any(map(str.isalpha, plain))
    return (whole and _luhn_sum(digits) % 10 == 0) or bool(card_numbers_in(plain))


def card_numbers_in(text: str) -> list[str]:
    """The card numbers that stand in a text, digits only: by check digit, and by the ranges and lengths that issuers use.

    In any script's digits, with spaces, dashes, dots or nothing to be seen between them, zeros, a short word or padding around
    them. Timestamps, fractions and hashes do not look like one; of ids that are 16 random digits, the first not 0, one in 23
    does.
    """
    plain, found = _plain(text), []
    for run in _RUN.finditer(plain):
        if sum(map(str.isdigit, run[2])) >= _DIGITS_MIN:
            found += _numbers_of(
                plain, [(run.start(2) + g.start(), run.start(2) + g.end()) for g in _GROUP.finditer(run[2])]
            )
    for word in _BEHIND_HEX.finditer(plain):
        found += _numbers_of(plain, [word.span(1)])
    return found


def field_with_card_number(fields: Mapping[str, object]) -> str | None:
    """The name of the first field whose text, or whole number, holds a card number."""
    for name, value in fields.items():
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str | int) and not isinstance(value, bool) and card_numbers_in(str(value)):
            return name
    return None


def has_control_character(text: str) -> bool:
    """Whether an id holds what no id needs: it would break lines, or speak to a terminal."""
    return not text.isprintable() and any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in text)


def none_is_card_number(ids: Sequence[str]) -> bool:
    """Whether all of many ids are beyond doubt, at once: none has 13 digits with only separators between them."""
    joined = _END.join(ids)
    if not joined.isascii() or joined.count(_END) >= len(ids) > 0:  # an id that holds the mark would be cut in two
        return not any(map(is_card_number, ids))
    if _LONG_RUN not in joined.encode().translate(_DIGITS_ALIKE, _NOT_COUNTED):
        return True
    return not any(map(is_card_number, ids))


def _plain(text: str) -> str:
    """Compatible forms as one (NFKC), every script's digits as 0 to 9, what cannot be seen left out."""
    if text.isascii():
        return text
    return "".join(
        str(unicodedata.decimal(c)) if unicodedata.category(c) == "Nd" else c
        for c in unicodedata.normalize("NFKC", text)
        if unicodedata.category(c) not in ("Cf", "Mn")
    )


def _numbers_of(text: str, groups: list[tuple[int, int]]) -> list[str]:
    """Card numbers among neighbouring groups of digits, the first and longest first, none twice."""
    found, first = [], 0
    while first < len(groups):
        for last, digits in reversed(_lengths(text, groups, first)):
            start, end = groups[first][0], groups[last - 1][1]
            decimal = last - first == 2 and text[groups[first][1] : groups[first + 1][0]] == "."
            if decimal or not _ISSUERS.fullmatch(digits) or _is_fraction(text, start, end):
                continue
            if _luhn_sum(digits) % 10 == 0:
                found.append(digits)
                first = last - 1
                break
        first += 1
    return found


def _lengths(text: str, groups: list[tuple[int, int]], first: int) -> list[tuple[int, str]]:
    """Where a number that begins with a group can end, and its digits without leading zeros: a few, however many groups."""
    ends, digits = [], ""
    for last in range(first, min(len(groups), first + _GROUPS_MAX)):
        digits = (digits + text[groups[last][0] : groups[last][1]]).lstrip("0")
        if len(digits) > _DIGITS_MAX:
            break
        if len(digits) >= _DIGITS_MIN:
            ends.append((last + 1, digits))
    return ends


def _is_fraction(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    return (before[1:] == "." and before[:1].isdigit()) or (after[:1] == "." and after[1:].isdigit())


def _luhn_sum(digits: str) -> int:
    return sum(map(int, digits[::-2])) + sum(map(_DOUBLED.__getitem__, map(int, digits[-2::-2])))


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
    number = card_number.translate(_SEPARATORS)
    if not _CARD_DIGITS.fullmatch(number) or _luhn_sum(number) % 10:
        raise CardNumberError("no card number: 13 to 19 digits with a right check digit are needed")
    return f"{key.key_id}:{key.name(number.encode())}"
