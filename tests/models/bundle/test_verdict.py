"""What may be released: better than chance and a constant, with figures and a report of its own; or named as accepted."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.bundle.files import MANIFEST, BundleError
from models.bundle.keys import write_key_pair
from models.bundle.load import Bundle, load_bundle
from models.bundle.pack import pack_bundle, stated
from models.bundle.verdict import check_release, objections, report_mark
from services.settings.bundles import BundleSettings
from services.trusted_bundles import registry_of
from tests.models.bundle.making import COMMITTED, version_of
from tests.services.cli.test_app import run_main

Figures = dict[str, float]


def faults(bundle: Bundle) -> list[str]:
    """Names of what speaks against it."""
    return [objection.fault for objection in objections(bundle)]


def with_figures(path: Path, figures: Figures, evaluated: bool = False) -> Bundle:
    """A bundle whose trainer measured these figures."""
    old = load_bundle(COMMITTED).manifest
    changed = {"metrics": old.metrics | figures, "evaluation": old.evaluation if evaluated else None}
    return version_of(path, 2, manifest=old.model_copy(update=changed))


@pytest.mark.parametrize("product", ["fraud", "credit"])
def test_the_committed_bundles_may_be_released(product: str) -> None:
    """They were made before statements; their reports hold their thresholds and every figure."""
    assert objections(load_bundle(Path("deploy/bundles") / product)) == []


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({}, []),
        ({"roc_auc": 0.506}, ["chance"]),
        ({"roc_auc": 0.3}, ["chance"]),
        ({"average_precision": 0.0001, "logistic_average_precision": 0.0}, ["chance"]),
        ({"brier": 0.5}, ["constant"]),
        ({"roc_auc": 0.506, "brier": 0.5}, ["chance", "constant"]),
        ({"average_precision": 0.567, "logistic_average_precision": 0.606}, []),
        ({"average_precision": 0.5, "logistic_average_precision": 0.606}, ["logistic"]),
    ],
)
def test_no_better_than_chance_or_a_constant_speaks_against_it(
    tmp_path: Path, figures: Figures, expected: list[str]
) -> None:
    """By its figures, where its trainer measured no intervals."""
    assert faults(with_figures(tmp_path / "bundle", figures)) == expected


@pytest.mark.parametrize(("low", "few"), [(0.49, None), (0.6, True)])
def test_an_interval_that_holds_one_half_or_cannot_be_had_speaks_against_it(
    tmp_path: Path, low: float, few: bool | None
) -> None:
    """However high the figure."""
    old = load_bundle(COMMITTED).manifest
    assert old.evaluation is not None
    first = old.evaluation.models[0]
    auc = first.figures["roc_auc"].model_copy(update={"low": low, "too_few": few})
    ours = first.model_copy(update={"figures": first.figures | {"roc_auc": auc}})
    evaluation = old.evaluation.model_copy(update={"models": (ours, *old.evaluation.models[1:])})
    made = version_of(tmp_path / "bundle", 2, manifest=old.model_copy(update={"evaluation": evaluation}))
    assert faults(made) == ["chance"]


def edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> Bundle:
    """The bundle after its manifest was edited by hand."""
    manifest = json.loads((path / MANIFEST).read_text())
    edit(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest))
    return load_bundle(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m["thresholds"].update(probability=0.01),
        lambda m: m["metrics"].update(roc_auc=0.999),
        lambda m: m["training"].update(data="Better data."),
        lambda m: m.update(version=9),
    ],
)
def test_a_manifest_edited_by_hand_is_seen(tmp_path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Thresholds, figures, origin and version belong to what was measured; owner and licence may be written."""
    version_of(tmp_path / "bundle", 2)
    assert faults(edited(tmp_path / "bundle", lambda m: m.update(owner="Our bank"))) == []
    assert faults(edited(tmp_path / "bundle", edit)) == ["figures"]


def test_another_graph_or_another_report_is_seen(tmp_path: Path) -> None:
    """A report names the statement that it is of."""
    made = version_of(tmp_path / "bundle", 2)
    assert made.manifest.statement is not None
    right = report_mark(made.manifest.statement).encode()
    assert faults(replace(made, report=right)) == []
    assert faults(replace(made, report=right.replace(b"a", b"b"))) == ["report"]
    assert faults(replace(made, model=version_of(tmp_path / "other", 2, other=True).model)) == ["figures"]


def test_a_bundle_of_before_with_edited_thresholds_or_without_a_report_is_seen() -> None:
    """Its report has other words than its manifest."""
    old = load_bundle(Path("tests/histories/0.1/bundle"))
    thresholds = old.manifest.thresholds.model_copy(update={"probability": 0.9})
    assert faults(replace(old, manifest=old.manifest.model_copy(update={"thresholds": thresholds}))) == ["report"]
    metrics = old.manifest.metrics | {"roc_auc": 0.98765}
    assert faults(replace(old, manifest=old.manifest.model_copy(update={"metrics": metrics}))) == ["report"]
    assert faults(replace(old, report=None)) == ["figures"]


def test_each_fault_must_be_accepted_by_its_own_name(tmp_path: Path) -> None:
    """What is accepted and is not there is not recorded."""
    made = with_figures(tmp_path / "bundle", {"roc_auc": 0.506, "brier": 0.5})
    with pytest.raises(BundleError, match="--accept chance --accept constant"):
        check_release(made, ())
    with pytest.raises(BundleError, match=r"say so with --accept constant\.$"):
        check_release(made, ("chance", "report"))
    assert check_release(made, ("constant", "chance", "report")) == ("chance", "constant")


def test_sign_and_publish_refuse_until_they_are_told_and_record_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the signed manifest, and in the registry's history; a refused command changes nothing."""
    bundle, key = tmp_path / "bundle", tmp_path / "k"
    with_figures(bundle, {"roc_auc": 0.506})
    write_key_pair(key)
    before = {file.name: file.read_bytes() for file in bundle.iterdir()}
    sign = ["bundle", "sign", str(bundle), "--key", f"{key}.key"]
    assert run_main(monkeypatch, *sign) == 2
    assert "--accept chance" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in bundle.iterdir()} == before
    assert run_main(monkeypatch, *sign, "--accept", "luck") == 2
    assert "names no fault: there are chance, constant, logistic, figures, report" in capsys.readouterr().err

    monkeypatch.setenv("ASSAY_REGISTRY_URL", str(tmp_path / "registry"))
    monkeypatch.setenv("ASSAY_BUNDLE_PUBLIC_KEYS", f"{key}.pub")
    monkeypatch.setenv("ASSAY_ALLOW_UNSIGNED_BUNDLES", "true")
    claimed = load_bundle(bundle)
    says = claimed.manifest.model_copy(update={"accepted": ("chance",)})
    pack_bundle(tmp_path / "says", stated(says, claimed.model, claimed.reference), claimed.model, claimed.reference)
    assert run_main(monkeypatch, "registry", "publish", str(tmp_path / "says")) == 2
    assert "--accept chance" in capsys.readouterr().err
    assert registry_of(BundleSettings()).history() == []

    assert run_main(monkeypatch, *sign, "--accept", "chance", "--accept", "report") == 0
    assert load_bundle(bundle).manifest.accepted == ("chance",)
    assert run_main(monkeypatch, "registry", "publish", str(bundle)) == 0
    assert [step.accepted for step in registry_of(BundleSettings()).history()] == [("chance",)]
