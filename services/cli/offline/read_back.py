"""A progress bar for commands that read topics back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from services.cli.output import notes

if TYPE_CHECKING:
    from services.verification.read import Progress


@contextmanager
def progress_bar(hidden: bool) -> "Iterator[Progress]":
    """A bar on stderr that a read can move."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("reading back"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=notes, transient=True, disable=hidden or not notes.is_terminal) as bar:
        task = bar.add_task("read", total=None)
        yield lambda done, whole: bar.update(task, completed=done, total=whole)
