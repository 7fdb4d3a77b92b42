"""The command line's root: help, one sentence for a mistake, exit statuses."""

import os
import subprocess
import sys
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app as root
from services.cli.app import app

ROOT = Path(__file__).parents[3]
COMMANDS = [
    ["demo"],
    ["broker", "start"],
    ["topics", "create"],
    ["topics", "list"],
    ["simulate"],
    ["train", "fraud"],
    ["train", "credit"],
    ["score"],
    ["profile"],
    ["credit", "score"],
    ["credit", "simulate"],
    ["credit", "batch"],
    ["batch"],
    ["tail"],
    ["verify"],
    ["replay"],
    ["doctor"],
    ["label"],
    *(["cases", name] for name in ("run", "list", "show", "confirm", "dismiss", "snooze", "mute", "mutes", "unmute")),
    ["dataset", "build"],
    ["monitor", "run"],
    ["monitor", "show"],
    ["bench", "all"],
    ["bench", "throughput"],
    ["bench", "features"],
    ["bench", "reasons"],
    ["bench", "swaps"],
    ["bench", "latency"],
    ["bench", "scale"],
    ["bench", "models"],
    ["bench", "startup"],
    ["capacity"],
    ["bundle", "keygen"],
    ["bundle", "sign"],
    ["bundle", "verify"],
    ["bundle", "seal"],
    ["bundle", "open"],
    ["bundle", "golden"],
    ["bundle", "inspect"],
    ["bundle", "report"],
    ["bundle", "diff"],
    ["registry", "publish"],
    ["registry", "promote"],
    ["registry", "rollback"],
    ["registry", "withdraw"],
    ["registry", "history"],
    ["registry", "lineage"],
    ["registry", "fetch"],
    ["registry", "status"],
]
HEAVY = ("numpy", "onnxruntime", "torch", "numba", "pydantic_settings")


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Exit status of `assay` with these arguments, in this process."""
    monkeypatch.setattr(sys, "argv", ["assay", *arguments])
    with pytest.raises(SystemExit) as ended:
        root.main()
    status = ended.value.code
    assert isinstance(status, int)
    return status


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    """`--help` shows how the command is typed."""
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert f"assay {' '.join(command)}" in " ".join(result.output.split())


def test_it_says_which_version_it_is() -> None:
    """As any program does, and as a report of a fault needs it."""
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"assay {version('assay-scoring')}\n")


def test_help_loads_nothing_heavy() -> None:
    """It must come at once."""
    script = (
        "import sys; from services.cli.app import app; "
        "from typer.testing import CliRunner; assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


WITHOUT_FILES = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "polars":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv[0] = "assay"
from services.cli.app import main
main()
"""


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("init shop --from some.topic", "Kafka at 127.0.0.1:1 does not answer"),
        ("source infer some.topic", "Kafka at 127.0.0.1:1 does not answer"),
        ("init shop --from some.csv", "Files need polars, which is not installed: pip install "),
        ("source check no.yaml", "no.yaml cannot be read (No such file or directory): give the path of a source spec"),
    ],
)
def test_a_topic_is_looked_at_without_the_extra_for_files_and_a_file_asks_for_it(
    tmp_path: Path, command: str, sentence: str
) -> None:
    """As the first page installs it."""
    environment = {**os.environ, "ASSAY_KAFKA_BOOTSTRAP": "127.0.0.1:1", "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-c", WITHOUT_FILES, *command.split()]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith(f"assay: {sentence}"), done.stderr


def test_a_wrong_setting_is_one_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the variable."""
    monkeypatch.setenv("ASSAY_PARTITIONS", "many")
    assert run_main(monkeypatch, "topics", "list") == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("assay: ASSAY_PARTITIONS is not usable")
    assert output.err.count("\n") == 1


def test_a_broker_that_is_not_there_is_one_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the address and the variable."""
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    assert run_main(monkeypatch, "tail", "alerts") == 2
    sentence = capsys.readouterr().err
    assert "127.0.0.1:1" in sentence
    assert "ASSAY_KAFKA_BOOTSTRAP" in sentence
    assert sentence.count("\n") == 1


def test_a_mistake_that_a_model_names_is_one_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The generator's own ValueError, not a traceback."""
    assert run_main(monkeypatch, "simulate", "--customers", "1") == 2
    assert capsys.readouterr().err == "assay: customers is 1; give 3 to 100,000,000.\n"


def test_an_unknown_command_is_status_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage."""
    assert run_main(monkeypatch, "nonsense") == 2
    assert "No such command" in capsys.readouterr().err


def test_an_error_of_our_own_making_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect is not dressed up as the user's mistake."""

    def broken() -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(root, "app", broken)
    with pytest.raises(ValueError, match="a defect"):
        root.main()


def test_ctrl_c_is_status_130_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As shells expect."""

    def interrupted(work: Coroutine[Any, Any, None]) -> None:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr("asyncio.run", interrupted)
    assert run_main(monkeypatch, "verify") == 130
    assert "Traceback" not in capsys.readouterr().err


def test_benchmarks_need_a_source_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The installed package says so."""
    monkeypatch.setattr("services.cli.operating.bench.ROOT", tmp_path)
    assert run_main(monkeypatch, "bench", "throughput", "--json") == 2
    assert "source checkout" in capsys.readouterr().err


def test_benchmarks_run_from_the_root_with_their_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Their options and their exit status are passed through."""
    folder = tmp_path / "tests" / "benchmarks"
    folder.mkdir(parents=True)
    # a package, or the real one would come before it
    for package in (folder, folder.parent):
        (package / "__init__.py").touch()
    (folder / "throughput.py").write_text("import sys; print(sys.argv[1:]); sys.exit(3)")
    monkeypatch.setattr("services.cli.operating.bench.ROOT", tmp_path)
    assert run_main(monkeypatch, "bench", "throughput", "--json", "--rounds", "2") == 3
    assert capfd.readouterr().out.strip() == "['--json', '--rounds', '2']"
