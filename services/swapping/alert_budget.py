"""How many alerts the active bundle was made for: what the breaker in the alert rules compares with."""

from schemas.manifest import Manifest
from services.observability.metrics import Metrics


def show_budget(metrics: Metrics, bundle: str, manifest: Manifest) -> None:
    """Set the metric for the active bundle, and for no other."""
    metrics.risk.budget.clear()
    if (budget := alert_budget(manifest)) is not None:
        metrics.risk.budget.labels(bundle).set(budget)


def alert_budget(manifest: Manifest) -> float | None:
    """Alerts a payment that the bundle was made for: its alert budget, or what it alerted on in its own test."""
    budget = manifest.training.settings.get("budget")
    share = budget.get("share") if isinstance(budget, dict) else None
    return share if isinstance(share, float) else manifest.metrics.get("alert_share_combined")
