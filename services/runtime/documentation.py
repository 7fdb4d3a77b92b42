"""Writes docs/settings.md and docs/metrics.md from the code: `python -m services.runtime.documentation`."""

from pathlib import Path

from pydantic_settings import BaseSettings

from services.runtime.metrics import catalogue
from services.runtime.settings import (
    BundleSettings,
    CreditSettings,
    KafkaSettings,
    ProfilerSettings,
    RuntimeSettings,
    ScorerSettings,
    TopicSettings,
)

SETTINGS: tuple[type[BaseSettings], ...] = (
    KafkaSettings,
    TopicSettings,
    RuntimeSettings,
    ScorerSettings,
    BundleSettings,
    ProfilerSettings,
    CreditSettings,
)


def settings_page() -> str:
    """Every setting as a Markdown table."""
    lines = [
        "# Settings",
        "",
        "Read once, at start, from the environment. Generated from `services/runtime/settings.py`.",
        "",
    ]
    for settings in SETTINGS:
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
    return "\n".join(lines)


def metrics_page() -> str:
    """The metrics catalogue as a Markdown table."""
    lines = ["# Metrics", "", "On `/metrics`. Generated from `services/runtime/metrics.py`.", ""]
    lines += ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{name}` | {kind} | {labels} | {meaning} |" for name, kind, labels, meaning in catalogue()]
    return "\n".join([*lines, ""])


PAGES = {"settings.md": settings_page, "metrics.md": metrics_page}


def main() -> None:
    """Write both pages."""
    docs = Path("docs")
    docs.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (docs / name).write_text(page())


if __name__ == "__main__":
    main()
