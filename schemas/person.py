"""Persons: their roles, and what a signature of theirs says."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from schemas.base import Digest, Message

Role = Literal["viewer", "analyst", "lead", "risk-officer", "admin"]
"""What a person is; what each may do is said where it is done."""

ROLES: tuple[Role, ...] = get_args(Role)

PersonName = Annotated[str, Field(min_length=1, max_length=100)]
"""As it stands in the log beside what they do."""

RoleName = Annotated[str, Field(max_length=20)]
"""A role as a record has it; empty where no one was known."""

Fingerprint = Digest
"""SHA-256 of a public key's PEM."""

SIGNATURES_MAX = 4
"""On one statement."""

Text = Annotated[str, Field(max_length=4_000)]

LEFT_PATTERN = r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2}))?$"
"""A day, or a time that says its zone: without one it could be meant in several ways."""


def person_key(name: str) -> str:
    """What tells people apart by their names: neither case nor blanks around them do."""
    return name.strip().casefold()


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's."""
    return person_key(one) == person_key(other)


class PersonSignature(Message):
    """A person's signature over a statement (DSSE, ECDSA)."""

    by: PersonName = Field(description="Whose key it is, as the file of persons names them.")
    key: Fingerprint = Field(description="SHA-256 of the public key's PEM.")
    signature: Annotated[str, Field(max_length=200)] = Field(description="Base64.")


class SignedStep(Message):
    """A statement, and who signed it."""

    statement: Text = Field(description="What was signed: a StepStatement as JSON, byte for byte.")
    signatures: Annotated[tuple[PersonSignature, ...], Field(max_length=SIGNATURES_MAX)] = Field(
        (), description="One a person."
    )


class Person(Message):
    """Someone whose signature counts."""

    name: PersonName = Field(description="As it stands in histories.")
    role: Role = Field(description="risk-officer and admin may sign what is promoted; they and lead what lists get.")
    public_key: Annotated[str, Field(max_length=2_000)] = Field(description="PEM, on P-256, P-384 or P-521.")
    left: Annotated[str, Field(pattern=LEFT_PATTERN, max_length=40)] | None = Field(
        None,
        description="From when on what they sign no longer counts: a day (its beginning, UTC), or a time with its zone. What "
        "they signed and was written before counts on.",
    )


class Persons(Message):
    """The file of persons."""

    persons: Annotated[tuple[Person, ...], Field(max_length=1_000)] = Field((), description="All of them.")
