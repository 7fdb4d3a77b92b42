"""`assay example`: the made-up stream of the tutorial, as a file to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: assay example && python stream.py history.jsonl --days 24"


def example(
    out: Annotated[Path, typer.Option(help="Where it is written; a file that is there stays.")] = Path("stream.py"),
) -> None:
    """Write the program that makes the tutorial's stream: wallets that pay merchants, with frauds (docs/tutorial.md)."""
    from models.installation import SHIPPED
    from services.cli.output import notes
    from services.errors import AssayError

    text = (SHIPPED / "docs" / "examples" / "tutorial" / "stream.py").read_text(encoding="utf-8")
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise AssayError(f"{out} is there already: name another file with --out.") from None
    except OSError as error:
        raise AssayError(f"{out} cannot be written ({error.strerror}): name another file with --out.") from None
    notes.print(f"{out}: `python {out} --help` says what it makes.", soft_wrap=True)
