"""The two products that commands choose between."""

from enum import StrEnum


class Product(StrEnum):
    """What is scored."""

    FRAUD = "fraud"
    CREDIT = "credit"
