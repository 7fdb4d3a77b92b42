"""Writes every dashboard: `python -m deploy.grafana.source.build` (make dashboards)."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.source import runbooks
from deploy.grafana.source.business import BUSINESS
from deploy.grafana.source.chart import Board, build
from deploy.grafana.source.credit import CREDIT
from deploy.grafana.source.models import MODELS
from deploy.grafana.source.operations import OPERATIONS
from deploy.grafana.source.risk import RISK

BOARDS: tuple[Board, ...] = (OPERATIONS, RISK, MODELS, BUSINESS, CREDIT)
ROOT = Path(__file__).parents[3]
OUT = ROOT / "deploy" / "grafana" / "dashboards"


def pages() -> dict[str, str]:
    """Every dashboard's JSON, by file name."""
    texts = runbooks.read(ROOT / "docs" / "runbooks.md")
    panels = runbooks.panel_ids(texts)
    made = {f"{board.uid}.json": build(board, panels) for board in BOARDS}
    made[f"{runbooks.UID}.json"] = runbooks.build(texts)
    return {name: json.dumps(board, cls=JSONEncoder, indent=1, sort_keys=True) + "\n" for name, board in made.items()}


def main() -> None:
    """Write them, and remove what is no longer built."""
    made = pages()
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.glob("*.json"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (OUT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
