"""A variable that no one reads stops the start; what the world around puts into an environment does not."""

import os
import subprocess
import sys

import pytest

from services.errors import SettingsError
from services.settings.kafka import TopicSettings
from services.settings.loading import load
from services.settings.names import OTHERS, RENAMED, check_names, known_names
from services.settings.processing import RuntimeSettings
from tests.services.harness import ROOT


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ASSAY_REGISTRY_URI", "ASSAY_REGISTRY_URL"),
        ("ASSAY_BUNDLE_PUBLIC_KEY", "ASSAY_BUNDLE_PUBLIC_KEYS"),
        ("assay_kafka_bootstrp", "ASSAY_KAFKA_BOOTSTRAP"),
        ("ASSAY_SCORER_GROUP", "ASSAY_CREDIT_GROUP|ASSAY_CASES_GROUP|ASSAY_PROFILER_GROUP|ASSAY_CONVERTER_GROUP"),
        ("ASSAY_HTTP_PROT", "ASSAY_HTTP_PORT"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_known_name(
    name: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever settings are loaded: a misspelt setting would have no effect."""
    monkeypatch.setenv(name, "")
    with pytest.raises(SettingsError, match=rf"{name} is no setting.* the nearest is ({nearest})\."):
        load(TopicSettings)


def test_every_setting_and_what_kubernetes_adds_are_let_through() -> None:
    """Settings in any case, variables that others read, links to Services in their own form alone."""
    links = {
        "ASSAY_SCORER_SERVICE_HOST": "10.0.0.1",
        "ASSAY_SCORER_SERVICE_PORT_HTTP": "9464",
        "ASSAY_SCORER_PORT": "tcp://10.0.0.1:9464",
        "ASSAY_SCORER_PORT_9464_TCP_ADDR": "10.0.0.1",
    }
    check_names(dict.fromkeys([*known_names(), *map(str.lower, known_names()), *OTHERS], "x") | links)
    with pytest.raises(SettingsError, match="ASSAY_SCORER_PORT is no setting"):
        check_names({"ASSAY_SCORER_PORT": "9464"})


@pytest.mark.parametrize("command", ["services.scorer", "services.profiler", "services.credit", "services.cases"])
def test_a_service_does_not_start_with_an_unknown_variable(command: str) -> None:
    """One sentence and status 2, before anything is done."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "ASSAY_REGISTRY_ULR": "s3://models"}
    done = subprocess.run([sys.executable, "-m", command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("assay: ASSAY_REGISTRY_ULR is no setting")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("old", list(RENAMED) + [name.lower() for name in RENAMED])
def test_a_setting_under_its_old_name_is_taken_and_children_have_the_new_one(
    old: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence on stderr, once: nothing that worked in the version before stops."""
    new = RENAMED[old.upper()]
    assert new in known_names()
    assert old.upper() not in known_names()
    monkeypatch.setenv(new, "")  # so that it is as it was afterwards
    monkeypatch.delenv(new)
    monkeypatch.setenv(old, "7")
    assert load(RuntimeSettings).duplicate_window_records_min == 7
    assert (os.environ.get(old), os.environ[new]) == (None, "7")
    load(TopicSettings)
    assert capsys.readouterr().err == f"assay: {old} is named {new} now: rename it, the old name goes with 0.3.\n"


def test_a_setting_under_both_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one is meant is not guessed."""
    for old, new in RENAMED.items():
        monkeypatch.setenv(old, "7")
        monkeypatch.setenv(new, "8")
        with pytest.raises(SettingsError, match=f"{old} is the old name of {new}, and both are set: unset {old}."):
            load(TopicSettings)
