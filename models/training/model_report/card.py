"""The model card's tables: what the bundle is, where it comes from, and every figure of its manifest."""

from datetime import UTC, datetime

from pydantic import JsonValue

from models.training.model_report.blocks import NONE, Section, Table, count, figure, listed
from models.training.model_report.inputs import ReportInput


def card_section(data: ReportInput) -> Section:
    """Identity, origin, settings, libraries, metrics. Mitchell et al., "Model Cards for Model Reporting", 2019."""
    manifest, run = data.manifest, data.manifest.training
    created = datetime.fromtimestamp(manifest.created_at_ms / 1000, UTC)
    identity = (
        ("Model", f"{manifest.name}, version {manifest.version}"),
        ("Product", manifest.product),
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
            Table("What it is", ("", ""), identity),
            Table("Where it comes from", ("", ""), origin),
            Table("Settings of the training", ("setting", "value"), tuple(_flat(dict(run.settings)))),
            _metrics(data),
        ),
    )


def comparison_section(data: ReportInput) -> Section | None:
    """Other models on the same rows, if the trainer ran some."""
    comparison = data.comparison
    if comparison is None:
        return None
    rows = tuple((name, *(figure(value) for value in values)) for name, values in comparison.rows)
    table = Table("On the same rows and features", ("model", *comparison.columns), rows, marked=0)
    return Section("comparison", "Is something simpler as good?", (comparison.says,), tables=(table,))


def _metrics(data: ReportInput) -> Table:
    rows = []
    for name, value in data.manifest.metrics.items():
        low, high = data.intervals.get(name, (None, None))
        interval = NONE if low is None else f"{figure(low, 4)} to {figure(high, 4)}"
        rows.append((name.replace("_", " "), figure(value, 5), interval))
    return Table("Every figure of the manifest, on the test rows", ("figure", "value", "95 % interval"), tuple(rows))


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
            rows.append((label, str(value)))
    return rows
