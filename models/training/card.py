"""Who answers for a bundle, under which licence, and what it may be used for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Who answers for the bundle, and what it may be used for."""

    owner: str
    licence: str
    permitted_use: str
