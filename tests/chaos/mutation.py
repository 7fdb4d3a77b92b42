"""One rule of exactly once, taken out of the source, and the test that must notice."""

from dataclasses import dataclass

RUNTIME = "tests/services/engine"


@dataclass(frozen=True, slots=True)
class Mutation:
    """`old` in the file becomes `new`; then `test` must fail. what: in words, for the table."""

    rule: str
    what: str
    path: str
    old: str
    new: str
    test: str
