"""The handbook's section of docs/results.md: its rows above ours."""

import numpy as np

from models.training.handbook.contest import DEFAULT_NET, ISOLATION_FOREST, VAE
from models.training.handbook.figures import FIGURES, HandbookFigures, Row
from models.training.handbook.published import BY_WINDOW, FOLD_ROWS, Published
from models.training.handbook.windows import FOLDS, SINGLE, UNSUPERVISED
from models.training.results.markdown import interval, table

HEAD = ("features", "model", "ROC AUC", "average precision", "card precision@100")
BOOK = "published (the book)"


def handbook_section(figures: HandbookFigures) -> list[str]:
    """Lines of the section."""
    lines = [
        "## The Fraud Detection Handbook's protocol",
        "",
        "Its simulated payments, its cuts (a week to train, a week of delay, a week to test), its metrics; 95 % intervals by "
        "drawing the test week's cards. The history before a window is folded too. Source of the published rows: Le Borgne, "
        "Siblini, Lebichot, Bontempi, *Reproducible Machine Learning for Credit Card Fraud Detection: Practical Handbook*, "
        "2022. Measured by `make handbook DATA=DIR`; libraries: "
        + ", ".join(f"{name} {number}" for name, number in sorted(figures.libraries.items()))
        + ".",
        "",
    ]
    for start in (SINGLE, UNSUPERVISED):
        if rows := figures.on(start):
            lines += [f"### Training week from {start}", "", *_window(BY_WINDOW[start], rows)]
    return [*lines, *_folds(figures), *_verdicts(figures)]


def _window(published: tuple[Published, ...], rows: list[Row]) -> list[str]:
    ours = [[row.features, row.model, *(interval(row.figures[name]) for name in FIGURES)] for row in rows]
    return table(HEAD, [*([BOOK, *row] for row in published), *ours])


def _folds(figures: HandbookFigures) -> list[str]:
    kinds = dict.fromkeys((row.features, row.model) for row in figures.rows)
    rows = [
        [features, model, *(_mean(folds, name) for name in FIGURES)]
        for features, model in kinds
        if (folds := figures.folds(features, model))
    ]
    if not rows:
        return []
    words = (
        f"Mean ± standard deviation over the training weeks from {', '.join(FOLDS)}. The book's rows are maxima over a "
    )
    words += "grid, chosen for each figure on the same folds; ours is one fixed model."
    return ["### Validation folds", "", words, "", *table(HEAD, [*([BOOK, *row] for row in FOLD_ROWS), *rows])]


def _mean(rows: list[Row], name: str) -> str:
    values = [row.figures[name].value for row in rows]
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def _verdicts(figures: HandbookFigures) -> list[str]:
    """Our default classifier, and what works without labels, against the published rows: printed as it is."""
    lines = [
        f"- {start}, {row.features}: {row.model} against the book's {book[0]}: {_compared(row, book)}."
        for start in (SINGLE, UNSUPERVISED)
        for row in figures.on(start)
        for book in _rivals(start, row.model)
    ]
    return ["### Against the published figures", "", *lines, ""] if lines else []


def _rivals(start: str, model: str) -> list[Published]:
    rows = {row[0]: row for row in BY_WINDOW[start]}
    names = {
        DEFAULT_NET: ("supervised net, 1 x 1000", "feed-forward net, 1 x 1000", "XGBoost"),
        VAE: ("autoencoder 15-100-20-100-15, unsupervised",),
        ISOLATION_FOREST: ("isolation forest, unsupervised",),
    }
    return [rows[name] for name in names.get(model, ()) if name in rows]


def _compared(row: Row, book: Published) -> str:
    parts = []
    for name, printed, label in zip(FIGURES, book[1:], ("ROC AUC", "AP", "CP@100"), strict=True):
        difference = round(row.figures[name].value, 3) - float(printed)
        parts.append(f"{label} {difference:+.3f} ({'at or above' if difference >= 0 else 'below'})")
    return ", ".join(parts)
