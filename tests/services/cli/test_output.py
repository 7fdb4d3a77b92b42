"""What records and files hold reaches no terminal as a command, and output that cannot be written is one sentence."""

import ast
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from typer.testing import CliRunner

from models.bundle.registry import Registry
from schemas.control import BundleRef
from schemas.registry import RegistryEvent
from services.cli.app import app
from services.cli.bundles.bundle import tell
from services.cli.operating import checks
from services.cli.output import SafeConsole, results, shown
from services.storage import Directory

ROOT = Path(__file__).parents[3]
CONTROL = ("\x1b]0;pwned\x07\x1b[2J", "a\rHIDDEN", "\u202egnp.exe", "\x9b31m")
HOSTILE = (*CONTROL, "[/x]", "[bold]x[/]", "[link=http://e]ok[/]", ":boom:")
UNWRITTEN = "assay: The output cannot be written (No space left on device): free space there, or choose another.\n"


@pytest.mark.parametrize("text", [*CONTROL, "a\nb", "a\tb"])
def test_no_control_character_of_a_record_reaches_the_terminal(text: str) -> None:
    """It is shown as its escape; ordinary text stays as it is."""
    assert shown(text).isprintable()
    assert shown("k1:abc [bold]é") == "k1:abc [bold]é"


def assert_harmless(printed: str, *texts: str) -> None:
    """Nothing but text and line ends, and the hostile text as it was, but for its escapes."""
    assert all(line.isprintable() for line in printed.split("\n")), repr(printed)
    for text in texts:
        assert shown(text) in printed.replace("\n", "")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("terminal", [True, False])
def test_the_console_takes_no_text_for_markup_and_lets_none_speak_to_the_terminal(text: str, terminal: bool) -> None:
    """In a line, and in every place of a table."""
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=terminal, color_system=None, width=400)
    console.print(text)
    console.print("two", text)
    table = Table("head", text, title=text, caption=text, box=None)
    table.add_row("cell", text)
    console.print(table)
    printed = file.getvalue()
    if terminal:  # rich's own codes of bold and italic headings
        for code in ("\x1b[1m", "\x1b[2;3m", "\x1b[3m", "\x1b[0m"):
            printed = printed.replace(code, "")
    assert_harmless(printed, text)


def calls(path: Path) -> set[str]:
    """What is called in a module by a plain name, or as a module's attribute."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            found.add(ast.unparse(node.func))
    return found


def test_every_view_prints_by_the_two_consoles_alone() -> None:
    """Another console, a plain print or markup of one's own would pass the escapes by."""
    other_ways = {"Console", "print", "rich.print", "typer.echo", "typer.secho", "sys.stdout.write", "Text.from_markup"}
    allowed = {
        "services/cli/output.py": {"print"},  # JSON, which is ASCII
        "services/cli/app.py": {"print"},  # sentences, made printable
        "services/cli/operating/acls.py": {"typer.echo"},  # a script, its words quoted for a shell
        "services/cli/operating/strimzi.py": {"typer.echo"},  # YAML, made by a library
    }
    for path in sorted((ROOT / "services/cli").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        assert calls(path) & other_ways <= allowed.get(name, set()), name


def run(*arguments: str) -> str:
    """What a command prints."""
    done = CliRunner().invoke(app, [*arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


def views(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Each view over something hostile, and what it printed."""
    registry = Registry(Directory(folder / "bundles"), Directory(folder / "events"))
    ref = BundleRef(name="fraud", version=1, digest="0" * 64)
    registry.publish(b"x", RegistryEvent(action="publish", bundle=ref, at_ms=1, by=text, why=text))
    monkeypatch.setenv("ASSAY_REGISTRY_URL", str(folder))
    monkeypatch.setenv("COLUMNS", "400")
    yield "registry history", run("registry", "history")

    async def found() -> list[checks.Check]:
        return [checks.Check("topics", False, text)]

    monkeypatch.setattr(checks, "all_checks", found)
    yield "doctor", run("doctor")
    monkeypatch.setattr(
        "services.cli.operating.held._ask",
        lambda *_: [
            {
                "partition": "t-0",
                "first_offset": 1,
                "last_offset": 2,
                "cause": text,
                "records": 2,
                "reasons": {text: 1},
                "faults": [{"offset": 1, "reason": text, "detail": text}],
            },
        ],
    )
    yield "held show", run("held", "show")
    with results.capture() as capture:
        tell({"bundle": text, "origin": {"source": text, "steps": [text]}}, json=False)
    yield "bundle inspect", capture.get()


@pytest.mark.parametrize("text", HOSTILE)
def test_no_view_lets_a_record_or_a_file_speak_to_the_terminal(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registry, doctor, held, inspect: the text is there as text."""
    seen = 0
    for view, printed in views(text, tmp_path, monkeypatch):
        assert_harmless(printed)
        assert shown(text)[:6] in printed, view
        seen += 1
    assert seen == 4


@pytest.mark.parametrize(
    "command",
    [["acls", "scorer"], ["acls", "scorer", "--json"], ["--help"]],
)
def test_output_that_cannot_be_written_is_one_sentence_and_a_closed_pipe_none(command: list[str]) -> None:
    """A full disk is news, a reader that has seen enough is not; neither is a traceback, nor a success."""
    program = [sys.executable, "-m", "services.cli", *command]
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert (
        done.stderr
        == "assay: The output cannot be written (No space left on device): free space there, or choose another.\n"
    )
    piped = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert piped.stdout is not None
    assert piped.stderr is not None
    piped.stdout.close()
    said = piped.stderr.read()
    assert (piped.wait(), said) == (1, "")
