"""What happens at the thresholds: alerts that are right, false alarms, what is missed; and what other thresholds would do."""

import numpy as np
from markupsafe import Markup, escape

from models.training.model_report.blocks import Figure, Section, Table, count, figure, percent
from models.training.model_report.inputs import DECISIONS, ReportInput, Rows, decide, share
from models.training.model_report.money import money_table
from models.training.model_report.svg import HEIGHT, WIDTH, wrapped

BUDGETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05)
"""Shares of all rows that could be alerted on."""


def decisions_section(data: ReportInput) -> Section:
    """Confusion matrix of the decision as taken, all three triggers, and other budgets."""
    thresholds = data.manifest.thresholds
    unusual = f", or from anomaly percentile {figure(thresholds.anomaly_percentile)} on"
    return Section(
        "decisions",
        "What does it decide?",
        (
            f"{data.words.alert.capitalize()}: from probability {figure(thresholds.probability, 4)} on"
            f"{unusual if data.manifest.has_anomaly else ''}. Chosen for: {thresholds.objective}.",
        ),
        (_confusion(data),),
        (_triggers(data), money_table(data), _budgets(data)),
    )


def _cells(alerts: Rows, truth: Rows) -> tuple[int, int, int, int]:
    """Found, missed, false alarms, rightly left alone."""
    return (
        int((alerts & truth).sum()),
        int((~alerts & truth).sum()),
        int((alerts & ~truth).sum()),
        int((~alerts & ~truth).sum()),
    )


def _confusion(data: ReportInput) -> Figure:
    truth, words = data.test.truth, data.words
    alerts = decide(data.test.scores, data.manifest.thresholds)["combined"]
    found, missed, false, left = _cells(alerts, truth)
    return Figure(
        "Confusion matrix at the thresholds",
        f"Of {count(found + missed)} {words.positives}, {count(found)} are found and {count(missed)} missed. Of "
        f"{count(found + false)} {words.alerts}, {count(false)} are false alarms: "
        + (f"{false / found:.2f} for each that is right." if found else "none is right."),
        _matrix(
            (words.alert, words.left),
            ((words.positive, found, missed), (words.negative, false, left)),
            f"Confusion matrix: {found} found, {missed} missed, {false} false alarms, {left} rightly left alone.",
        ),
        Table(
            "Decisions on the test rows",
            ("", words.alert, words.left, "all"),
            (
                (words.positives, count(found), count(missed), count(found + missed)),
                (words.negatives, count(false), count(left), count(false + left)),
                ("all", count(found + false), count(missed + left), count(len(truth))),
            ),
        ),
    )


def _matrix(
    columns: tuple[str, str], rows: tuple[tuple[str, int, int], tuple[str, int, int]], alternative: str
) -> Markup:
    """Two by two: shade by the share of the row, so that a rare class can be read too."""
    left, top, gap = 96, 40, 8
    width, height = (WIDTH - left - gap) / 2, (HEIGHT - top - gap) / 2
    parts = [
        f'<text class="label" x="{left + width * (n + 0.5) + gap * n:.0f}" y="26" text-anchor="middle">{label}</text>'
        for n, label in enumerate(columns)
    ]
    for r, (label, *cells) in enumerate(rows):
        y = top + r * (height + gap)
        for n, line in enumerate(label.split(" ", 1)):
            parts.append(f'<text class="label" x="0" y="{y + height / 2 + 15 * n:.0f}">{escape(line)}</text>')
        for c, number in enumerate(cells):
            x, part = left + c * (width + gap), number / max(1, sum(cells))
            right = (r == 0) == (c == 0)
            style = "c1" if right else "c2"
            parts.append(
                f'<rect class="cell {style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4" '
                f'fill-opacity="{0.1 + 0.4 * part:.2f}"/>'
            )
            middle = x + width / 2
            parts.append(
                f'<text class="big" x="{middle:.1f}" y="{y + height / 2 - 4:.1f}" text-anchor="middle">{number:,}</text>'
            )
            said = ("found", "missed")[c] if r == 0 else ("false alarms", "rightly left alone")[c]
            for n, line in enumerate((said, f"{percent(part, 2)} of the row")):
                parts.append(
                    f'<text x="{middle:.1f}" y="{y + height / 2 + 21 + 16 * n:.1f}" text-anchor="middle">{line}</text>'
                )
    return wrapped(WIDTH, HEIGHT, parts, alternative)


def _triggers(data: ReportInput) -> Table:
    truth, several = data.test.truth, data.manifest.has_anomaly
    rows = []
    for name in DECISIONS if several else DECISIONS[:1]:
        alerts = decide(data.test.scores, data.manifest.thresholds)[name]
        precision, recall = share(truth, alerts), share(alerts, truth)
        both = (precision or 0.0) + (recall or 0.0)
        f1 = 2 * (precision or 0.0) * (recall or 0.0) / both if both else 0.0
        rows.append(
            (
                {"combined": "either (the decision)"}.get(name, f"{name} alone"),
                count(alerts.sum()),
                percent(float(alerts.mean()), 2),
                percent(precision),
                percent(recall),
                figure(f1),
                percent(float((alerts == truth).mean()), 2),
            )
        )
    columns = ("trigger", data.words.alerts, f"of all {data.words.events}", "precision", "recall", "F1", "accuracy")
    return Table(
        "The two triggers and the decision" if several else "The decision", columns, tuple(rows), marked=len(rows) - 1
    )


def _budgets(data: ReportInput) -> Table:
    """By the probability alone: the threshold that alerts on a given share of the test rows."""
    probability, truth = data.test.scores.probability, data.test.truth
    order = np.sort(probability)[::-1]
    rows = []
    for budget in BUDGETS:
        threshold = order[max(0, round(budget * len(order)) - 1)]
        alerts = probability >= threshold
        rows.append(
            (
                percent(budget, 2),
                figure(float(threshold), 4),
                count(alerts.sum()),
                percent(share(truth, alerts)),
                percent(share(alerts, truth)),
            )
        )
    columns = (f"of all {data.words.events}", "probability from", data.words.alerts, "precision", "recall")
    return Table("What other thresholds on the probability would have given on the test rows", columns, tuple(rows))
