"""What the GAN's gate found, as a section of docs/results.md."""

from models.training.results.markdown import signed, table
from schemas.evaluation import Estimate
from schemas.manifest import Manifest

DELTAS = {"gan_ap_delta": "average precision", "gan_cp100_delta": "card precision@100"}
QUALITY = {
    "detection_auc": "detection AUC of gradient boosting, against the real frauds learnt from; 0.5 cannot tell",
    "detection_auc_held_out": "the same for real frauds of other cards",
    "detection_auc_independent": "the same for real frauds with every column shuffled on its own",
    "ks_mean": "Kolmogorov-Smirnov distance, mean of the features",
    "ks_max": "the same, worst feature",
    "wasserstein_mean": "Wasserstein distance in standard deviations, mean of the features",
    "wasserstein_max": "the same, worst feature",
    "correlation_difference_mean": "difference of correlations, mean of the pairs",
    "correlation_difference_max": "the same, worst pair",
    "nearest_distance_ratio": "median distance to the nearest row learnt from, relative to real frauds of other cards",
    "copied_share": "share of rows that are a training row",
    "copied_share_held_out": "the same for real frauds of other cards",
}


def gan_section(manifest: Manifest) -> list[str]:
    """Its lines; none where no GAN was tried."""
    metrics = manifest.metrics
    if "gan_shipped" not in metrics:
        return []
    lines = ["## Synthetic frauds", ""]
    if "gan_ap_delta" not in metrics:
        return [*lines, "The history is too short for the gate to judge them, so none were used.", ""]
    shipped = "They ship." if metrics["gan_shipped"] else "So they do not ship: the bundle was trained without them."
    lines += [
        "A GAN drew frauds for the training; the gate fitted classifiers with and without them on days whose labels would have "
        "been known, and judged both a label delay later, on the validation cut. They ship only if both intervals lie above 0. "
        + shipped,
        "",
        *table(["with less without", "difference"], [[words, _delta(metrics, name)] for name, words in DELTAS.items()]),
    ]
    rows = [[words, f"{metrics[f'gan_{name}']:.3f}"] for name, words in QUALITY.items()]
    return [*lines, *table(["synthetic frauds beside real ones", ""], rows)]


def _delta(metrics: dict[str, float], name: str) -> str:
    value, low, high = (metrics[name + suffix] for suffix in ("", "_low", "_high"))
    return signed(Estimate(value=value, low=low, high=high), 4)
