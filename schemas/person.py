"""Persons: their roles, and what a signature of theirs says."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from schemas.base import Digest

Role = Literal["viewer", "analyst", "lead", "risk-officer", "admin"]
"""What a person is; what each may do is said where it is done."""

ROLES: tuple[Role, ...] = get_args(Role)

PersonName = Annotated[str, Field(min_length=1, max_length=100)]
"""As it stands in the log beside what they do."""

RoleName = Annotated[str, Field(max_length=20)]
"""A role as a record has it; empty where nobody was known."""

Fingerprint = Digest
"""SHA-256 of a public key's PEM."""
