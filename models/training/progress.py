"""How a fit reports its progress."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, the epochs done and the most there will be; a stage may end early."""


def silent(stage: str, done: int, most: int) -> None:
    """Shows nothing."""
