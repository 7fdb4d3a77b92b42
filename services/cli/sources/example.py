"""`assay example`: what the documentation begins with, as files: the tutorial's made-up stream, the demo's bundle."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: assay example && python stream.py history.jsonl --days 24"

KEY = "demo.pub"


class What(StrEnum):
    """What is written."""

    STREAM = "stream"
    BUNDLE = "bundle"


OUT = {What.STREAM: Path("stream.py"), What.BUNDLE: Path("demo")}


def example(
    what: Annotated[
        What,
        typer.Argument(
            help="stream: the program that makes the tutorial's stream, wallets that pay merchants, with frauds. bundle: a "
            "folder with the bundle of `assay demo`, its feature spec, and the public half of the key that signed it."
        ),
    ] = What.STREAM,
    out: Annotated[
        Path | None,
        typer.Option(help="Where it is written; what is there stays.", show_default="stream.py, or demo"),
    ] = None,
) -> None:
    """Write what the documentation begins with: a stream to try with (docs/tutorial.md), or a bundle (docs/first-rule.md)."""
    from services.cli.output import notes
    from services.errors import AssayError

    target = out or OUT[what]
    write = _bundle if what is What.BUNDLE else _stream
    try:
        hint = write(target)
    except FileExistsError:
        raise AssayError(f"{target} is there already: name another with --out.") from None
    except OSError as error:
        raise AssayError(f"{target} cannot be written ({error.strerror}): name another place with --out.") from None
    notes.print(hint, soft_wrap=True)


def _stream(target: Path) -> str:
    from models.installation import SHIPPED

    text = (SHIPPED / "docs" / "examples" / "tutorial" / "stream.py").read_text(encoding="utf-8")
    with target.open("x", encoding="utf-8") as file:
        file.write(text)
    return f"{target}: `python {target} --help` says what it makes."


def _bundle(target: Path) -> str:
    import shutil

    from models.installation import DEPLOY

    target.mkdir(parents=True)
    shutil.copytree(DEPLOY / "bundles" / "fraud", target / "fraud")
    shutil.copyfile(DEPLOY / "features" / "fraud.yaml", target / "features.yaml")
    shutil.copyfile(DEPLOY / "keys" / KEY, target / KEY)
    return (
        f"Anyone may have its key, so it is for trying: `export ASSAY_BUNDLE={target / 'fraud'} "
        f"ASSAY_BUNDLE_PUBLIC_KEYS={target / KEY}`."
    )
