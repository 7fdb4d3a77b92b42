"""Tables in Markdown."""

from collections.abc import Iterable, Sequence

from schemas.evaluation import Estimate


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table, with an empty one after it."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def interval(estimate: Estimate, digits: int = 3) -> str:
    """`0.612 [0.580, 0.645]`."""
    if estimate.too_few:
        return f"{estimate.value:.{digits}f} [too few]"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def signed(estimate: Estimate, digits: int = 3) -> str:
    """`+0.012 [-0.010, +0.034]`: a difference."""
    if estimate.too_few:
        return f"{estimate.value:+.{digits}f} [too few]"
    return f"{estimate.value:+.{digits}f} [{estimate.low:+.{digits}f}, {estimate.high:+.{digits}f}]"
