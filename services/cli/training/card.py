"""Options of the trainers that say who answers for a bundle and what it is for."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from models.training.card import ModelCard

Owner = Annotated[str | None, typer.Option(help="Who answers for the bundle.")]
Licence = Annotated[str | None, typer.Option(help="Of the bundle.")]
PermittedUse = Annotated[str | None, typer.Option(help="What the bundle may be used for, in a sentence.")]


def told(card: "ModelCard", owner: str | None, licence: str | None, permitted_use: str | None) -> "ModelCard":
    """The card with what was given in place of its own words."""
    return replace(
        card,
        owner=owner or card.owner,
        licence=licence or card.licence,
        permitted_use=permitted_use or card.permitted_use,
    )
