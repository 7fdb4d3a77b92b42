"""The shape of the code itself: small files, small functions, words at the top, nothing dead, nothing of one machine."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "models", "services")

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
_OPTIONS = "its lines are options, each with its help"
LONGER_FOR_A_REASON: dict[str, str] = {
    "services/cli/offline/batch.py::batch": _OPTIONS,
    "services/cli/offline/verify.py::verify": _OPTIONS,
    "services/cli/offline/what_if.py::what_if": _OPTIONS,
    "services/cli/sources/init.py::init": _OPTIONS,
    "services/cli/training/features.py::build": _OPTIONS,
    "services/cli/training/train.py::fraud": _OPTIONS,
    "services/cli/training/train_credit.py::credit": _OPTIONS,
}
"""`path` or `path::function` -> why it may be longer."""

NOT_IMPORTED_FOR_A_REASON = {
    "services/broker/guard.py": "run by path, as a process of its own",
}

OF_ONE_MACHINE = re.compile(
    "|".join(
        (
            r"(?<![\w.~])/(home|Users|root|work|mnt)/\w",
            r"/tmp/[a-z]\w*/",  # noqa: S108  (a pattern, not a path)
            r"pypi\.(org|python)",
            r"pythonhosted",
            r"repo1?\.maven\.",
            r"download\.pytorch",
        )
    )
)
BINARY = {".parquet", ".onnx", ".npz", ".png", ".gz", ".zst", ".bin", ".ico"}


def tracked() -> list[Path]:
    """Every file that git has or would take, as paths from the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted({Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()})


TRACKED = tracked()
PYTHON = [path for path in TRACKED if path.suffix == ".py"]
MODULES = [path for path in PYTHON if path.parts[0] in PACKAGES]


def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def functions(path: Path) -> dict[str, int]:
    """Lines of each function, by name."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    found = [node for node in ast.walk(tree(path)) if isinstance(node, kinds)]
    return {f"{path}::{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1 for node in found}


def imported_names(path: Path) -> set[str]:
    """Everything this file imports by an absolute name: modules, and names that may be modules."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def entry_points() -> set[str]:
    """Modules that pyproject.toml names as commands."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    return {target.partition(":")[0] for target in scripts.values()}


def runs_itself(path: Path) -> bool:
    """`python -m` works on it: a command of its own."""
    return 'if __name__ == "__main__":' in (ROOT / path).read_text(encoding="utf-8")


def test_no_file_is_longer_than_a_reader_holds() -> None:
    """One stage, one file."""
    lengths = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    too_long = {path: n for path, n in lengths.items() if n > FILE_LINES_MAX and path not in LONGER_FOR_A_REASON}
    assert too_long == {}


def test_no_function_is_longer_than_a_screen() -> None:
    """Or its name stands above, with the reason."""
    too_long = {
        name: lines
        for path in PYTHON
        for name, lines in functions(path).items()
        if lines > FUNCTION_LINES_MAX and name not in LONGER_FOR_A_REASON
    }
    assert too_long == {}


def test_every_exception_from_the_lengths_is_still_needed() -> None:
    """The list does not outlive its reasons."""
    lengths = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    lines = {name: n for path in PYTHON for name, n in functions(path).items()}
    needed = {path for path, n in lengths.items() if n > FILE_LINES_MAX}
    needed |= {name for name, n in lines.items() if n > FUNCTION_LINES_MAX}
    assert set(LONGER_FOR_A_REASON) <= needed
    assert all((ROOT / path).exists() for path in NOT_IMPORTED_FOR_A_REASON)


def test_every_module_begins_with_a_docstring() -> None:
    """A newcomer reads the first line and knows where he is."""
    written = [path for path in PYTHON if tree(path).body]
    assert [str(path) for path in written if not ast.get_docstring(tree(path))] == []


def test_no_module_is_dead() -> None:
    """Something imports it, other than its own test, or it is a command."""
    used = {name for path in PYTHON if path.parts[0] != "tests" for name in imported_names(path) - {module_name(path)}}
    dead = [
        str(path)
        for path in MODULES
        if path.name not in ("__init__.py", "__main__.py")
        and module_name(path) not in used | entry_points()
        and not runs_itself(path)
        and str(path) not in NOT_IMPORTED_FOR_A_REASON
    ]
    assert dead == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_of_a_package_says_what_it_is(package: str) -> None:
    """Its `__init__.py` is there and holds its paragraph."""
    folders = {path.parent for path in MODULES if path.parts[0] == package}
    assert [str(folder) for folder in folders if folder / "__init__.py" not in MODULES] == []


def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    """Paths and mirrors differ; what is tracked does not."""
    found = []
    for path in TRACKED:
        if path.suffix not in BINARY and path != Path(__file__).relative_to(ROOT):
            lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
            found += [
                f"{path}:{n}: {line.strip()[:100]}" for n, line in enumerate(lines, 1) if OF_ONE_MACHINE.search(line)
            ]
    assert found == []


def test_every_dependency_says_why_it_is_there() -> None:
    """In the line that names it."""
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    wanted = [
        *project["dependencies"],
        *(need for extra in project["optional-dependencies"].values() for need in extra),
    ]
    reasoned = re.compile(r'"([^"]+)",?\]?\s+# \S')
    assert set(wanted) - set(reasoned.findall(text)) == set()


def test_every_dependency_has_its_version_locked() -> None:
    """But for the GPU build, which replaces the CPU's, and its libraries."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    wanted += [
        need
        for name, extra in project["optional-dependencies"].items()
        if name not in ("gpu", "cuda")
        for need in extra
    ]
    lock = (ROOT / "deploy/locks/constraints.txt").read_text()
    locked = {normal(line.partition("==")[0]) for line in lock.splitlines() if "==" in line}
    assert {normal(re.split(r"[\[<>=!~ ]", need)[0]) for need in wanted} - locked == set()


def normal(name: str) -> str:
    """A distribution's name, normalised (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_readmes_tree_lists_every_top_level_folder() -> None:
    """The tree is the diagram."""
    folders = {path.parts[0] for path in TRACKED if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [folder for folder in sorted(folders) if not re.search(rf"^\W*{folder}/", readme, re.MULTILINE)] == []
