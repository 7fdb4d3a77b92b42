"""What a bundle's classifier and anomaly score are worse at than another model on the same cuts: the top of docs/results.md."""

from models.training.results.markdown import signed
from models.training.results.tables import FIGURES
from schemas.evaluation import ModelFigures
from schemas.manifest import Manifest


def shortfalls(manifest: Manifest, elsewhere: list[str]) -> list[str]:
    """Lines of the section; none where nothing falls short: surely, or in the average precision as measured.

    elsewhere: what falls short of what was measured beside the bundle.
    """
    models = manifest.evaluation.models if manifest.evaluation else ()
    lines = [line for model in models for line in _below(model, models[1 if model.unsupervised else 0])]
    if not lines and not elsewhere:
        return []
    head = ["## What falls short", ""]
    if lines:
        words = (
            "The bundle's scores are below these models on the test cut: surely, where the whole interval is below 0."
        )
        head += [words, "", *lines, "", _why(manifest), ""]
    return [*head, *elsewhere, *([""] if elsewhere else [])]


def _below(model: ModelFigures, ours: ModelFigures) -> list[str]:
    lines = []
    for name, words in FIGURES.items():
        difference = model.difference.get(name)
        if difference is None or difference.too_few or difference.value >= 0.0:
            continue
        surely = difference.high < 0.0
        if surely or name == "average_precision":
            lines.append(
                f"- {ours.model}: {words} {ours.figures[name].value:.3f}, {model.model} {model.figures[name].value:.3f}: "
                f"difference {signed(difference)}{'' if surely else ', not surely'}."
            )
    return lines


def _why(manifest: Manifest) -> str:
    classifier = manifest.training.settings.get("classifier")
    if isinstance(classifier, dict) and classifier.get("trees"):
        return "It has trees already: more payments, or other settings of the trees, are what is left to try."
    return (
        "Why: the classifier is a network without trees, whose settings were chosen on weeks of other payments, and which runs "
        "on a GPU too. `assay train fraud --classifier xgboost` or `blend` trains what has trees, for the CPU alone "
        "([models](models.md))."
    )
