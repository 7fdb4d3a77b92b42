"""What a bundle's classifier is surely worse at than another model on the same cuts: the top of docs/results.md."""

from models.training.results.markdown import signed
from models.training.results.tables import FIGURES
from schemas.manifest import Manifest


def shortfalls(manifest: Manifest) -> list[str]:
    """Lines of the section; none where nothing falls short."""
    evaluation = manifest.evaluation
    if evaluation is None or not evaluation.models:
        return []
    ours = evaluation.models[0].figures
    lines = [
        f"- {words} {ours[name].value:.3f}, {model.model} {model.figures[name].value:.3f}: difference {signed(difference)}."
        for model in evaluation.models
        for name, words in FIGURES.items()
        if (difference := model.difference.get(name)) is not None and not difference.too_few and difference.high < 0.0
    ]
    if not lines:
        return []
    head = [
        "## What falls short",
        "",
        "The bundle's classifier is below these models on the test cut, and the whole interval of the difference is below 0:",
    ]
    return [*head, "", *lines, "", _why(manifest), ""]


def _why(manifest: Manifest) -> str:
    classifier = manifest.training.settings.get("classifier")
    if isinstance(classifier, dict) and classifier.get("trees"):
        return "It has trees already: more payments, or other settings of the trees, are what is left to try."
    return (
        "Why: it is one network without trees, whose settings were chosen on weeks of other payments, and which runs on a GPU "
        "too. `assay train fraud --classifier xgboost` or `blend` trains what has trees, for the CPU alone "
        "([models](models.md))."
    )
