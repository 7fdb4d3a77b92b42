"""`assay persons`, and commands of someone who left. Without Kafka."""

import json
from pathlib import Path

import pytest
import yaml

from services.cli.bundles.allowing import person
from services.errors import AssayError
from tests.services.cli.test_app import run_main
from tests.services.signing import People, people


@pytest.fixture
def everyone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> People:
    """Their file is set; two have to sign."""
    made = people(tmp_path)
    monkeypatch.setenv("ASSAY_PERSONS_FILE", str(made.file))
    monkeypatch.setenv("ASSAY_PERSONS_SIGNATURES_MIN", "2")
    return made


def leave(everyone: People, name: str, left: str) -> None:
    """As someone writes it into the file."""
    listed = yaml.safe_load(everyone.file.read_text())
    next(one for one in listed["persons"] if one["name"] == name)["left"] = left
    everyone.file.write_text(yaml.safe_dump(listed))


def test_it_says_who_may_sign_what_now_and_ends_with_1_where_too_few_are_left(
    everyone: People, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rosa, who leaves some day, still signs; Aron, who left, does not."""
    leave(everyone, "rosa", "2199-01-01")
    assert run_main(monkeypatch, "persons", "list", "--json") == 0
    found = {one["name"]: one["signs"] for one in json.loads(capsys.readouterr().out)["persons"]}
    both = ["bundles and policies", "lists"]
    assert found == {"rosa": both, "aron": both, "lena": ["lists"], "ana": []}
    leave(everyone, "aron", "2020-01-01")
    assert run_main(monkeypatch, "persons", "list") == 1
    words = " ".join(capsys.readouterr().out.split())
    assert "2 persons have to sign bundles and policies, and fewer than that may: add someone." in words
    assert "have to sign lists" not in words
    assert "2020-01-01" in words


def test_who_left_signs_nothing_and_is_told_so(everyone: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is written."""
    monkeypatch.setenv("ASSAY_PERSONS_KEY_FILE", str(everyone.key_file("rosa")))
    assert person()[0] == "rosa"
    leave(everyone, "rosa", "2020-01-01T12:00:00+01:00")
    with pytest.raises(AssayError, match=r"says that rosa left \(2020-01-01T12:00:00\+01:00\)"):
        person()


def test_without_a_file_it_says_which_setting_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, and 2."""
    monkeypatch.delenv("ASSAY_PERSONS_FILE", raising=False)
    assert run_main(monkeypatch, "persons", "list") == 2
