"""Whether something simpler is as good: other models on the same rows, from the manifest's evaluation."""

from models.training.model_report.blocks import Figure, Section, Table, figure, listed
from models.training.model_report.inputs import ReportInput
from models.training.model_report.svg import Axis, Plot
from schemas.evaluation import Estimate, Evaluation, ModelFigures

RANKED_BY = "average_precision"

HALF = 0.3
"""Half the share of its slot that a model's bar fills."""


def comparison_section(data: ReportInput) -> Section | None:
    """None where the trainer compared with nothing."""
    evaluation = data.manifest.evaluation
    if evaluation is None or len(evaluation.models) < 2 or RANKED_BY not in evaluation.models[0].figures:
        return None
    names = list(evaluation.models[0].figures)
    rows = tuple((model.model, *(_interval(model.figures.get(name)) for name in names)) for model in evaluation.models)
    tables = [Table("On the same rows and features", ("model", *(_words(name) for name in names)), rows, marked=0)]
    if unseen := _unseen(data, evaluation):
        tables.append(unseen)
    return Section(
        "comparison",
        "Is something simpler as good?",
        (f"Every model was fitted on the same rows and features. {evaluation.intervals}",),
        (_figure(evaluation),),
        tuple(tables),
    )


def _figure(evaluation: Evaluation) -> Figure:
    shown = [model for model in evaluation.models if RANKED_BY in model.figures]
    ticks = tuple(float(n + 1) for n in range(len(shown)))
    plot = Plot(
        Axis("", 0.5, len(shown) + 0.5, ticks, lambda at: shown[round(at) - 1].model),
        Axis(_words(RANKED_BY), 0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), lambda value: f"{value:.1f}"),
    )
    for place, model in zip(ticks, shown, strict=True):
        found = model.figures[RANKED_BY]
        plot.bars([(place - HALF, place + HALF)], [found.value], "c3" if place > 1 else "c1")
        if not found.too_few:
            plot.whisker(place, found.low, found.high, "ink")
    plot.key("area c1", "this bundle")
    plot.key("area c3", "others")
    plot.key("line ink", "95% interval")
    best = max(shown, key=lambda model: model.figures[RANKED_BY].value)
    highest = f"Highest: {best.model}, {figure(best.figures[RANKED_BY].value)}."
    return Figure("Average precision of each model", f"{highest} {_verdict(shown)}", plot.svg(highest))


def _verdict(shown: list[ModelFigures]) -> str:
    """Against which models the difference's interval leaves out 0."""
    above: list[str] = []
    below: list[str] = []
    neither: list[str] = []
    for model in shown:
        if not model.unsupervised and (gap := model.difference.get(RANKED_BY)) is not None:
            side = above if gap.low > 0 else below if gap.high < 0 else neither
            interval = "too few" if gap.too_few else f"{gap.low:+.3f} to {gap.high:+.3f}"
            side.append(f"{model.model} ({gap.value:+.3f}, {interval})")
    sides = (("above", above), ("below", below), ("not told apart from", neither))
    said = [f"{words} {listed(names)}" for words, names in sides if names]
    return f"With the difference and its interval, this bundle is {'; '.join(said)}." if said else ""


def _unseen(data: ReportInput, evaluation: Evaluation) -> Table | None:
    """What is found of a kind that the classifier was trained without."""
    if not evaluation.unseen:
        return None
    names = list(dict.fromkeys(name for group in evaluation.unseen for name in group.figures))
    kinds = {f"scenario {number}": words for number, words in data.scenarios.items()}
    rows = tuple(
        (kinds.get(group.name, group.name), *(figure(group.figures.get(name)) for name in names))
        for group in evaluation.unseen
    )
    kind = data.words.positive
    return Table(
        f"Kinds of {kind} that the classifier was not shown in training, and the autoencoder never is",
        (f"kind of {kind}", *(_words(name) for name in names)),
        rows,
    )


def _interval(estimate: Estimate | None) -> str:
    if estimate is None:
        return figure(None)
    interval = "too few" if estimate.too_few else f"{estimate.low:.3f} to {estimate.high:.3f}"
    return f"{estimate.value:.3f} ({interval})"


def _words(name: str) -> str:
    return name.replace("_", " ").replace("roc auc", "ROC AUC")
