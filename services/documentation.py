"""Writes the generated pages of docs/, and the index of decisions: `python -m services.documentation`."""

import re
from pathlib import Path

from schemas.topics import DAY_MS, TOPICS
from services.observability.console_metrics import ConsoleMetrics
from services.observability.events import EVENTS
from services.observability.gateway_metrics import GatewayMetrics
from services.observability.low_rate_metrics import (
    APPLICATIONS,
    BudgetMetrics,
    CaseMetrics,
    MonitorMetrics,
)
from services.observability.metrics import Metrics, catalogue
from services.observability.renamed import RENAMED
from services.settings.names import OTHERS, settings_classes
from services.settings.names import RENAMED as RENAMED_SETTINGS

DECISIONS = Path(__file__).parents[1] / "docs" / "decisions"
DECISION = re.compile(
    r"# (?P<number>\d+)\. (?P<title>.+)\n\nStatus: (?P<status>\w+), (?P<date>[\d-]+)(?P<changes>.*)\n"
)
CHANGE = re.compile(r"; (amended|superseded) by (\[\d+\]\(\S+\)), [\d-]+")


def settings_page() -> str:
    """Every setting as a Markdown table."""
    lines = [
        "# Settings",
        "",
        "Read once, at start, from the environment. Generated from `services/settings`.",
        "",
    ]
    for settings in settings_classes():
        prefix = settings.model_config.get("env_prefix", "")
        lines += [
            f"## {(settings.__doc__ or '').rstrip('.')}",
            "",
            "| variable | default | meaning |",
            "| --- | --- | --- |",
        ]
        for name, field in settings.model_fields.items():
            default = "" if field.default is None else f"`{field.default}`"
            lines.append(f"| `{prefix}{name.upper()}` | {default} | {field.description} |")
        lines.append("")
    lines += ["## Other variables", "", "| variable | meaning |", "| --- | --- |"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in OTHERS.items()]
    lines += ["", "Taken under their old names too, until 0.3:", "", "| old name | setting |", "| --- | --- |"]
    lines += [f"| `{old}` | `{name}` |" for old, name in RENAMED_SETTINGS.items()]
    lines += ["", "Any other `ASSAY_*` variable stops the start, with the nearest known name.", ""]
    return "\n".join(lines)


def metrics_page() -> str:
    """The metrics catalogue as a Markdown table."""
    lines = ["# Metrics", "", "On `/metrics`. Generated from `services/observability`.", ""]
    lines += ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    metrics = Metrics()
    rows = sorted(
        [
            *catalogue(metrics),
            *catalogue(metrics.risk),
            *catalogue(CaseMetrics(metrics.registry)),
            *catalogue(MonitorMetrics(metrics.registry)),
            *catalogue(MonitorMetrics(metrics.registry, APPLICATIONS)),
            *catalogue(BudgetMetrics(metrics.registry)),
            *catalogue(GatewayMetrics(metrics.registry)),
            *catalogue(ConsoleMetrics(metrics.registry)),
        ]
    )
    lines += [f"| `{name}` | {kind} | {labels} | {meaning} |" for name, kind, labels, meaning in rows]
    lines += ["", "Shown under their old names too, until 0.3:", "", "| old name | metric |", "| --- | --- |"]
    lines += [f"| `{old}` | `{name}` |" for old, name in RENAMED.items()]
    return "\n".join([*lines, ""])


def logs_page() -> str:
    """The catalogue of log events as a Markdown table."""
    lines = [
        "# Log events",
        "",
        "On stderr, console or JSON (`ASSAY_LOG_FORMAT`). Generated from `services/observability/events.py`.",
        "",
    ]
    lines += [
        "Every line has the time and a level; never a payload, a key or a secret. The same fault of the same partition is",
        "logged ten times a minute at most; the next line after that says how many were held back.",
        "",
    ]
    lines += ["| event | meaning |", "| --- | --- |"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in sorted(EVENTS.items())]
    return "\n".join([*lines, ""])


def decisions_page() -> str:
    """The index of docs/decisions: what the head of each page says."""
    lines = [
        "# Decisions",
        "",
        "One page for each decision: context, decision, consequences. Measurements, and experiments that failed, are in the",
        "[log](../log.md). Generated from the pages by `python -m services.documentation`.",
        "",
        "| | decision | status | date |",
        "| --- | --- | --- | --- |",
    ]
    for path in sorted(DECISIONS.glob("[0-9]*.md")):
        head = DECISION.match(path.read_text())
        if head is None:
            raise ValueError(f"{path.name} does not begin with `# N. Title` and `Status: accepted, YYYY-MM-DD`.")
        changes = CHANGE.findall(head["changes"])
        status = "superseded" if any(kind == "superseded" for kind, _ in changes) else head["status"]
        by = {kind: ", ".join(link for other, link in changes if other == kind) for kind, _ in changes}
        if status == "superseded":
            status += f" by {by['superseded']}"
        elif "amended" in by:
            status += f", amended by {by['amended']}"
        lines.append(f"| [{int(head['number']):04}]({path.name}) | {head['title']} | {status} | {head['date']} |")
    return "\n".join([*lines, ""])


def topics_page() -> str:
    """Every topic, and the fields of its messages, as Markdown tables."""
    lines = ["# Topics", "", "Names are without `ASSAY_TOPIC_PREFIX`. Generated from `schemas/topics.py`.", ""]
    lines += ["| topic | key | message | written by | kept |", "| --- | --- | --- | --- | --- |"]
    for topic in sorted(TOPICS, key=lambda topic: topic.name):
        kept = "compacted" if topic.retention_ms is None else f"{topic.retention_ms // DAY_MS} days"
        lines.append(f"| `{topic.name}` | {topic.key} | {topic.schema.__name__} | {topic.written_by} | {kept} |")
    for topic in sorted({topic.schema.__name__: topic for topic in TOPICS}.values(), key=lambda t: t.schema.__name__):
        schema = topic.schema.model_json_schema(mode="serialization")
        lines += ["", f"## {topic.schema.__name__}", "", (topic.schema.__doc__ or "").strip(), ""]
        lines += ["| field | meaning |", "| --- | --- |"]
        for name, field in schema["properties"].items():
            meaning = str(field.get("description", "")).replace("|", "\\|").replace("\n", " ")
            lines.append(f"| `{name}` | {meaning} |")
    return "\n".join([*lines, ""])


PAGES = {
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "logs.md": logs_page,
    "topics.md": topics_page,
    "decisions/README.md": decisions_page,
}


def main() -> None:
    """Write every page."""
    docs = Path("docs")
    docs.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (docs / name).write_text(page())


if __name__ == "__main__":
    main()
