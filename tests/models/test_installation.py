"""What a message names to install is to be had."""

import json
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest

from models import installation


class Installed(Distribution):
    """From a file, by pip's record of it."""

    def __init__(self, path: Path, **more: Any) -> None:
        self.record = json.dumps({"url": path.as_uri(), **more})

    @property
    def requires(self) -> list[str]:
        """A part of what we ask for."""
        return [
            "numpy>=2.0",
            'polars>=1.30; extra == "files"',
            'scikit-learn>=1.6; extra == "train"',
            'flask; extra == "dev"',
        ]

    def read_text(self, filename: str) -> str | None:
        """The record alone."""
        return self.record if filename == "direct_url.json" else None

    def locate_file(self, path: Any) -> Any:
        """Asked for by the base class, not by us."""
        raise NotImplementedError


def command(monkeypatch: pytest.MonkeyPatch, installed: Installed) -> str:
    """What a message would name."""
    monkeypatch.setattr(installation, "distribution", lambda name: installed)
    return installation.install_command.__wrapped__("cpu,train")


def test_a_message_names_the_file_that_was_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wheel, or a checkout with its mark."""
    wheel = tmp_path / "a wheel.whl"
    wheel.touch()
    assert command(monkeypatch, Installed(wheel)) == f"pip install '{wheel}[cpu,train]'"
    said = command(monkeypatch, Installed(tmp_path, dir_info={"editable": True}))
    assert said == f"pip install --editable '{tmp_path}[cpu,train]'"


def test_a_file_that_is_gone_is_not_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in an image, which was built from one."""
    assert command(monkeypatch, Installed(tmp_path / "gone.whl")) == "pip install 'assay-scoring[cpu,train]'"


@pytest.mark.parametrize(
    ("module", "extra"),
    [("polars.series", "files"), ("sklearn", "train"), ("flask", None), ("numpy", None), ("models.gone", None)],
)
def test_a_library_that_an_extra_brings_is_named_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, extra: str | None
) -> None:
    """Whatever imported it. What no extra brings is no mistake of the user's."""
    monkeypatch.setattr(installation, "distribution", lambda name: Installed(tmp_path / "gone.whl"))
    monkeypatch.setattr(installation, "install_command", installation.install_command.__wrapped__)
    said = installation.missing(ModuleNotFoundError(name=module))
    name = module.partition(".")[0]
    expected = f"This needs {name}, which is not installed: pip install 'assay-scoring[{extra}]'."
    assert said == (expected if extra else None)
