"""Commands to running services, as commands of people show them: by product, with the answers as a table."""

from rich.table import Table

from schemas.control import Control
from services.cli.output import results, shown
from services.cli.products import Product
from services.commanding import CREDIT, SCORERS

PRODUCTS = {Product.FRAUD: SCORERS, Product.CREDIT: CREDIT}


def show_answers(found: list[Control]) -> None:
    """As a table."""
    table = Table("channel", "partition", "active", "from offset", "answer", "by")
    for answer in found:
        what = answer.outcome or "" if answer.why is None else f"{answer.outcome}: {answer.why}"
        offset = "next" if answer.from_offset is None else str(answer.from_offset)
        where = (answer.channel or "", str(answer.source_partition), str(answer.bundle or "none"), offset)
        table.add_row(*map(shown, (*where, what, answer.by or "")))
    results.print(table)
