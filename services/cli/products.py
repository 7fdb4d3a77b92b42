"""The two products that commands choose between, and what of each they mean."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.settings.policy import PolicySettings


class Product(StrEnum):
    """What is scored."""

    FRAUD = "fraud"
    CREDIT = "credit"


OfProduct = Annotated[
    Product, typer.Option("--product", help="Whose policies: of payments, or of credit applications.")
]


def policy_settings(product: Product) -> "type[PolicySettings]":
    """Which settings name the product's policies."""
    from services.settings.policy import CreditPolicySettings, PolicySettings

    return CreditPolicySettings if product is Product.CREDIT else PolicySettings
