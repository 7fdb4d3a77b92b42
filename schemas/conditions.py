"""Which events are meant, in a spec: comparisons of values with constants, and `not`, `all`, `any` of them. No code."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.base import Number, Part
from schemas.paths import Path

DEPTH_MAX = 8
"""Conditions within each other, at most."""

Constant = bool | Annotated[int, Field(ge=-(2**53), le=2**53)] | Number | Annotated[str, Field(max_length=200)]
Constants = Annotated[tuple[Constant, ...], Field(min_length=1, max_length=1_000)]
BOUNDS = ("above", "at_least", "below", "at_most")
COMPARISONS = ("equals", "one_of", "exists", *BOUNDS)
GROUPS = ("negated", "every", "some")


def constant_words(value: bool | int | float | str) -> str:
    """A constant as a person writes it."""
    return (
        ("yes" if value else "no")
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def named_problems(condition: "Condition") -> Iterator[str]:
    """What keeps a condition from being asked of named columns: its paths must be names, its constants of one type."""
    for one in condition.inner:
        yield from named_problems(one)
    if condition.path is not None and not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", condition.path):
        yield f"{condition.path!r} is not the name of an attribute; give one of the source spec's, not its path"
    if len({isinstance(value, str) for value in condition.one_of or ()}) > 1:
        yield "its constants are texts and numbers; write two conditions under any"


class Condition(Part):
    """One comparison, or one group of conditions."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    path: Path | None = Field(None, description="Where the value lies that is compared.")
    equals: Constant | None = Field(None, description="The value is this one. Numbers and texts are never equal.")
    one_of: Constants | None = Field(None, alias="in", description="The value is one of these.")
    exists: bool | None = Field(None, description="true: there is a value that is not null; false: there is none.")
    above: Number | None = Field(None, description="The value is a number above this one.")
    at_least: Number | None = Field(None, description="The value is a number, this one or above.")
    below: Number | None = Field(None, description="The value is a number below this one.")
    at_most: Number | None = Field(None, description="The value is a number, this one or below.")
    negated: "Condition | None" = Field(None, alias="not", description="The condition in it does not hold.")
    every: "Annotated[tuple[Condition, ...], Field(min_length=1, max_length=100)] | None" = Field(
        None, alias="all", description="All of these hold."
    )
    some: "Annotated[tuple[Condition, ...], Field(min_length=1, max_length=100)] | None" = Field(
        None, alias="any", description="At least one of these holds."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Condition":
        problem = self._problem()
        if problem is not None:
            raise PydanticCustomError("spec", "{problem}", {"problem": problem})
        return self

    def _problem(self) -> str | None:
        groups = [name for name in GROUPS if getattr(self, name) is not None]
        compared = [name for name in COMPARISONS if getattr(self, name) is not None]
        if groups:
            if len(groups) > 1 or compared or self.path is not None:
                return "not, all and any stand alone; put each into an entry of its own"
            return (
                None if self.depth <= DEPTH_MAX else f"more than {DEPTH_MAX} conditions within each other; flatten it"
            )
        if self.path is None:
            return "a condition needs the path of the value that it compares; add path"
        if not compared:
            return "a condition needs a comparison; add equals, in, exists, above, at_least, below or at_most"
        if len([name for name in compared if name not in BOUNDS] or ["bounds"]) > 1 or (
            len(compared) > 1 and not set(compared) <= set(BOUNDS)
        ):
            return "only bounds stand together; write other comparisons as entries of their own"
        return None

    @property
    def inner(self) -> tuple["Condition", ...]:
        """The conditions of a group."""
        return (*([self.negated] if self.negated else []), *(self.every or ()), *(self.some or ()))

    @property
    def depth(self) -> int:
        """How many stand within each other."""
        return 1 + max((condition.depth for condition in self.inner), default=0)

    def words(self) -> str:
        """The condition in words: `approved is no and amount is above 100`."""
        if self.negated is not None:
            return f"not ({self.negated.words()})"
        if self.inner:
            joint = " and " if self.every else " or "
            return joint.join(f"({one.words()})" if len(one.inner) > 1 else one.words() for one in self.inner)
        name = str(self.path).replace("_", " ")
        if self.exists is not None:
            return f"{name} is {'given' if self.exists else 'missing'}"
        if self.equals is not None:
            return f"{name} is {constant_words(self.equals)}"
        if self.one_of is not None:
            return f"{name} is one of {', '.join(map(constant_words, self.one_of))}"
        bounds = {"above": self.above, "at least": self.at_least, "below": self.below, "at most": self.at_most}
        return f"{name} is " + " and ".join(f"{word} {value:g}" for word, value in bounds.items() if value is not None)

    def paths(self) -> Iterator[str]:
        """Every path that it reads."""
        if self.path is not None:
            yield self.path
        for condition in self.inner:
            yield from condition.paths()
