"""docs/runbooks.md as a dashboard of its own, one text panel a runbook, so that a panel's link needs no other site."""

import re
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard, text
from grafana_foundation_sdk.models.text import TextMode

from deploy.grafana.source.chart import RUNBOOKS_UID, TAG

UID = RUNBOOKS_UID


def read(path: Path) -> dict[str, tuple[str, str]]:
    """Title and text of each runbook, by the anchor that a Markdown reader gives its heading, in order."""
    _, *sections = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    parted = [section.partition("\n") for section in sections]
    return {anchor(title): (title.strip(), body.strip()) for title, _, body in parted}


def anchor(title: str) -> str:
    """As GitHub makes it: lower case, words joined by hyphens."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def panel_ids(texts: dict[str, tuple[str, str]]) -> dict[str, int]:
    """Panel of each runbook, by anchor."""
    return {name: number for number, name in enumerate(texts, start=1)}


def build(texts: dict[str, tuple[str, str]]) -> Any:
    """The SDK's dashboard."""
    made = (
        dashboard.Dashboard("Assay / Runbooks")
        .uid(UID)
        .description("What to do about each alert and panel. Generated from docs/runbooks.md.")
        .tags([TAG])
    )
    for name, number in panel_ids(texts).items():
        title, body = texts[name]
        panel = text.Panel().id(number).title(title).description(f"Runbook {name}.").transparent(False).unit("none")
        made = made.with_panel(panel.mode(TextMode.MARKDOWN).content(body).span(12).height(10))
    return made.build()
