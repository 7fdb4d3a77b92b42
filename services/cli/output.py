"""Where output goes: results to stdout, everything else to stderr. Every view is printed by one of the two consoles here.

What they print comes from records and files as well: no text is markup, and control characters are escaped. Styles are given by
`Text`, never by words in brackets.
"""

import errno
import json
import os
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from services.text import printable


class SafeConsole(Console):
    """Prints text, and the cells, titles and headings of tables, as they are, control characters as their escapes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(soft_wrap=True, highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every string for the terminal passes here."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})

    def on_broken_pipe(self) -> None:
        """The command line's root ends the process, as for every other failed write."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


results = SafeConsole()
notes = SafeConsole(stderr=True)


def shown(text: str) -> str:
    """Text of a record within a line of ours: line breaks are escapes too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def logs_to_stderr() -> None:
    """What a service's code logs while a command runs it, such as a record that a table refuses, is a note, no result."""
    import structlog

    structlog.reset_defaults()  # whatever a service of this process has set
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    print(json.dumps(value), flush=True)
