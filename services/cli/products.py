"""The two products that commands choose between, and what of each they mean."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.settings.policy import PolicySettings
    from services.trusted_bundles import ScoringSettings


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


BundlesOf = Annotated[Product, typer.Option("--product", help="Whose bundles: of payments, or of credit applications.")]


def scoring_settings(product: Product) -> "type[ScoringSettings]":
    """Which settings name the product's bundle."""
    from services.settings.credit import CreditSettings
    from services.settings.scorer import ScorerSettings

    return CreditSettings if product is Product.CREDIT else ScorerSettings
