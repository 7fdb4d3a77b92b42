"""The model card's tables: what the bundle is, where it comes from, and every figure of its manifest."""

from datetime import UTC, datetime
from typing import get_args

from pydantic import JsonValue

from models.training.model_report.blocks import Section, Table, count, figure, listed
from models.training.model_report.inputs import ReportInput
from schemas.manifest import ScoreKind


def card_section(data: ReportInput) -> Section:
    """Identity, origin, settings, libraries, metrics. Mitchell et al., "Model Cards for Model Reporting", 2019."""
    manifest, run = data.manifest, data.manifest.training
    created = datetime.fromtimestamp(manifest.created_at_ms / 1000, UTC)
    identity = (
        ("Model", f"{manifest.name}, version {manifest.version}"),
        ("Product", manifest.product),
        ("Scores", listed(manifest.score_kinds or get_args(ScoreKind))),
        ("Owner", manifest.owner),
        ("Licence", manifest.licence),
        ("Permitted use", manifest.permitted_use),
        ("Data until", f"{created:%Y-%m-%d %H:%M} UTC"),
        ("Graph", f"ONNX, SHA-256 {data.graph_digest}"),
    )
    origin = (
        ("Data", run.data),
        ("Data digest", f"SHA-256 {run.data_digest}"),
        ("Rows for training", count(run.train_records)),
        ("Rows for validation", count(run.validation_records)),
        ("Rows for the test", count(run.test_records)),
        ("Thresholds", manifest.thresholds.objective),
        ("Seed", str(run.seed)),
        ("Libraries", ", ".join(f"{name} {version}" for name, version in sorted(run.libraries.items()))),
    )
    return Section(
        "card",
        "Model card",
        ("Taken from the bundle's manifest. The same data, settings, seed and libraries give the same bundle again.",),
        tables=(
            Table("What it is", ("", ""), identity, left=(1,)),
            Table("Where it comes from", ("", ""), origin, left=(1,)),
            Table("Settings of the training", ("setting", "value"), tuple(_flat(dict(run.settings))), left=(1,)),
            _metrics(data),
        ),
    )


def _metrics(data: ReportInput) -> Table:
    rows = []
    evaluation = data.manifest.evaluation
    sure = evaluation.models[0].figures if evaluation and evaluation.models else {}
    for name, value in data.manifest.metrics.items():
        known = sure.get(name)
        interval = ""
        if known:
            interval = "too few" if known.too_few else f"{figure(known.low)} to {figure(known.high)}"
        rows.append((name.replace("_", " "), figure(value, 5), interval))
    return Table("Every figure of the manifest, on the test rows", ("figure", "value", "95% interval"), tuple(rows))


def _flat(settings: dict[str, JsonValue], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as rows."""
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            rows += _flat(value, f"{label}: ")
        elif isinstance(value, list):
            rows.append((label, listed([str(item) for item in value])))
        else:
            rows.append((label, "not set" if value is None else str(value)))
    return rows
