"""What is installed beside the code, and how more of it is installed: the same in a checkout and from a wheel."""

import functools
import json
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

DISTRIBUTION = "assay-scoring"

_CHECKOUT = Path(__file__).parents[1]
_IN_WHEEL = _CHECKOUT / "services" / "installed"

SHIPPED = _IN_WHEEL if _IN_WHEEL.is_dir() else _CHECKOUT
"""Where deploy/ and docs/ lie: deploy/build_hook.py says which files of them a wheel holds."""

DEPLOY = SHIPPED / "deploy"

_CALLED_OTHERWISE = {
    "argon2": "argon2-cffi", "faust": "faust-streaming", "google": "protobuf", "grpc": "grpcio", "jwt": "pyjwt",
    "sklearn": "scikit-learn",
}  # fmt: skip
"""Modules whose distribution has another name."""


@functools.cache
def install_command(extra: str) -> str:
    """The command that adds extras ("cpu,train") to this installation, from where it came (PEP 610), if that is still there."""
    try:
        came_from = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        came_from = {}
    url = urlsplit(came_from.get("url", ""))
    if url.scheme != "file" or not Path(unquote(url.path)).exists():
        return f"pip install '{DISTRIBUTION}[{extra}]'"
    editable = "--editable " if came_from.get("dir_info", {}).get("editable") else ""
    return f"pip install {editable}'{unquote(url.path)}[{extra}]'"


def missing(error: ModuleNotFoundError) -> str | None:
    """The sentence about a library that an extra would bring, where no command has one of its own; None for anything else."""
    module = (error.name or "").partition(".")[0]
    if extra := _extra_with(module):
        return f"This needs {module}, which is not installed: {install_command(extra)}."
    return None


def _extra_with(module: str) -> str | None:
    """The first extra that brings a library, by what this installation says that it requires."""
    wanted = _plain(_CALLED_OTHERWISE.get(module, module))
    try:
        requirements = distribution(DISTRIBUTION).requires or []
    except PackageNotFoundError:
        return None
    for requirement in requirements:
        name, extra = re.match(r"[\w.-]+", requirement), re.search(r"extra == ['\"]([\w-]+)", requirement)
        if name and extra and extra[1] != "dev" and _plain(name[0]) == wanted:
            return extra[1]
    return None


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lacking(what: str, error: ImportError, extra: str) -> str:
    """The sentence about a module that an extra would have brought. what: needs it, in the plural or with its verb's form."""
    return f"{what} {error.name}, which is not installed: {install_command(extra)}."
