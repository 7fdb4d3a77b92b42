"""The evaluation that a bundle records, as sections of docs/results.md."""

from models.training.results.markdown import interval, signed, table
from schemas.evaluation import Evaluation, Group

SCENARIOS = {
    1: "large amount",
    2: "compromised terminal",
    3: "compromised customer",
    4: "device on many cards",
    5: "merchant in a burst",
    6: "fresh payee",
}
FIGURES = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "card_precision_at_100": "card precision@100",
}
DECISIONS = ("classifier", "anomaly", "combined")


def evaluation_sections(evaluation: Evaluation) -> list[str]:
    """Lines of every section."""
    return [
        *_models(evaluation),
        *_calibration(evaluation),
        *_days(evaluation),
        *_scenarios(evaluation),
    ]


def _models(evaluation: Evaluation) -> list[str]:
    rows = [[m.model, *(interval(m.figures[name]) for name in FIGURES)] for m in evaluation.models]
    differences = [
        [
            f"{'reconstruction error' if m.unsupervised else 'classifier'} less {m.model}",
            *(signed(m.difference[name]) for name in FIGURES),
        ]
        for m in evaluation.models
        if m.difference
    ]
    lines = ["## Beside other models", "", f"The same cuts and features. {evaluation.intervals}", ""]
    lines += table(["", *FIGURES.values()], rows)
    if differences:
        lines += ["Differences, on the same draws:", "", *table(["", *FIGURES.values()], differences)]
    return lines


def _calibration(evaluation: Evaluation) -> list[str]:
    rows = [[f"{b.records:,}", f"{b.probability:.4f}", f"{b.positive_share:.4f}"] for b in evaluation.calibration]
    words = "Payments in order of their probability, in parts that should hold equally many frauds."
    return ["## Calibration", "", words, "", *table(["payments", "mean probability", "share of fraud"], rows)]


def _days(evaluation: Evaluation) -> list[str]:
    names = ("alerts", "precision", "recall", "average_precision")
    rows = [
        [group.name, f"{group.records:,}", str(group.positives), *_cells(group, names)] for group in evaluation.by_day
    ]
    head = ["day", "payments", "frauds", "alerts", "precision", "recall", "average precision"]
    return ["## Day by day, at the thresholds", "", *table(head, rows)]


def _cells(group: Group, names: tuple[str, ...]) -> list[str]:
    digits = {"alerts": 0}
    return [f"{group.figures[n]:.{digits.get(n, 3)}f}" if n in group.figures else "" for n in names]


def _scenarios(evaluation: Evaluation) -> list[str]:
    if not evaluation.by_scenario:
        return []
    head = ["", "frauds", "AP, classifier", "AP, error", *(f"recall, {name}" for name in DECISIONS)]
    names = ("average_precision", "anomaly_average_precision", *(f"recall_{name}" for name in DECISIONS))
    lines = [
        "## The combined decision beside each score alone",
        "",
        "Every decision raises the same number of alerts: by the classifier alone, by the reconstruction error alone, and by "
        "both, as the budget divides it. AP: average precision among all that is legitimate.",
        "",
        *table(head, ([_words(g), str(g.positives), *_cells(g, names)] for g in evaluation.by_scenario)),
    ]
    if evaluation.unseen:
        lines += [
            "Kinds of fraud that the classifier was never shown: trained and stopped without them. The autoencoder knows none.",
            "",
            *table(head, ([_words(g), str(g.positives), *_cells(g, names)] for g in evaluation.unseen)),
            *_verdict(evaluation.unseen),
            "",
        ]
    return lines


def _words(group: Group) -> str:
    number = int(group.name.removeprefix("scenario ") or 0)
    return f"{group.name}: {SCENARIOS[number]}" if number in SCENARIOS else group.name


def _verdict(unseen: tuple[Group, ...]) -> list[str]:
    """Whether the autoencoder earns its place, in a sentence that the figures decide."""
    earned = [g for g in unseen if g.figures["recall_combined"] > g.figures["recall_classifier"]]
    if not earned:
        return ["The autoencoder does not earn its place: with it no unseen kind of fraud is found more often."]
    found = "; ".join(
        f"{_words(g)}, recall {g.figures['recall_combined']:.3f} with it and {g.figures['recall_classifier']:.3f} without"
        for g in earned
    )
    return [f"The autoencoder earns its place on {found}."]
