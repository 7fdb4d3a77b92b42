"""The page says what was measured, holds everything itself, and is the same bytes each time."""

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from models.bundle.files import BYTES_MAX, REPORT
from models.training.model_report.inputs import ReportInput, decide
from models.training.model_report.page import model_report

SECTIONS = ["decisions", "ranking", "calibration", "distributions", "importance", "drift", "card"]
WITH_EVERYTHING = [*SECTIONS, "breakdown", "latent", "comparison"]

Page = Callable[[str], bytes]


class Reader(HTMLParser):
    """Tags with their attributes, text, and what is still open."""

    VOID = frozenset({"meta", "link"})

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens, unless it is void."""
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens and closes."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Closes what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text between tags."""
        self.text += data


@pytest.mark.parametrize(("name", "sections"), [("fraud", WITH_EVERYTHING), ("credit", SECTIONS)])
def test_a_section_is_there_where_there_is_something_to_say(page: Page, name: str, sections: list[str]) -> None:
    """Days, scenarios, latent means and other models are shown where the rows have them; every link leads somewhere."""
    tags = Reader(page(name)).tags
    anchors = {attributes["id"] for tag, attributes in tags if tag == "section" and "id" in attributes}
    assert anchors == set(sections)
    assert {attributes["href"] for tag, attributes in tags if tag == "a"} == {f"#{section}" for section in sections}


@pytest.mark.parametrize("name", ["fraud", "credit"])
def test_the_page_is_whole_and_needs_nothing_else(page: Page, name: str) -> None:
    """Every tag is closed, no id is used twice, no script, no source, no link out; and it fits a bundle many times."""
    reader = Reader(page(name))
    assert reader.open == []
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "script" not in {tag for tag, _ in reader.tags}
    for _, attributes in reader.tags:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
    assert b"url(" not in page(name)
    assert b"@import" not in page(name)
    assert len(page(name)) < BYTES_MAX[REPORT] / 8


def test_every_plot_has_words_for_whoever_cannot_see_it(page: Page) -> None:
    """An alternative text each; every table a caption and named rows."""
    tags = Reader(page("fraud")).tags
    plots = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(plots) > 30
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in plots)
    tables = sum(tag == "table" for tag, _ in tags)
    assert sum(tag == "caption" for tag, _ in tags) == tables
    assert sum(attributes.get("scope") == "row" for _, attributes in tags) > tables


def test_the_same_input_gives_the_same_bytes(fraud: ReportInput, page: Page) -> None:
    """A bundle's digest covers its report."""
    assert model_report(fraud) == page("fraud")


def test_the_figures_are_scikit_learns(fraud: ReportInput, page: Page) -> None:
    """ROC AUC, average precision and the confusion matrix, computed apart."""
    text, test = Reader(page("fraud")).text, fraud.test
    assert f"AUC {roc_auc_score(test.truth, test.scores.probability):.3f}" in text
    assert f"AP {average_precision_score(test.truth, test.scores.reconstruction_error):.3f}" in text
    alerts = decide(test.scores, fraud.manifest.thresholds)["combined"]
    left, false, missed, found = confusion_matrix(test.truth, alerts).ravel()
    assert f"Of {found + missed} frauds, {found} are found and {missed} missed. Of {found + false} alerts" in text
    assert f"{left:,}" in text
    assert f"{len(test):,} payments that the model was not trained on" in text


def test_intervals_and_other_models_come_from_the_manifest(page: Page) -> None:
    """Against which the difference is sure, and against which it is not."""
    text = Reader(page("fraud")).text
    assert "above random forest (+0.200, +0.100 to +0.300)" in text
    assert "not told apart from XGBoost (-0.030, -0.080 to +0.020)" in text
    assert "0.600 (0.550 to 0.650)" in text


def test_what_is_done_badly_is_said_on_the_first_page(fraud: ReportInput) -> None:
    """A model that finds nothing says so."""
    blind = fraud.test.scores._replace(
        probability=np.full(len(fraud.test), 0.01, np.float32),
        anomaly_percentile=np.zeros(len(fraud.test), np.float32),
    )
    text = Reader(model_report(replace(fraud, test=replace(fraud.test, scores=blind)))).text
    assert "it misses 100 of 100 frauds" in text
    assert "Of “large amount” it misses 100%" in text
    assert "100% of the frauds get a probability below 5%" in text
    assert "There are no alerts on these rows." in text


def test_words_from_outside_are_text_and_never_markup(fraud: ReportInput, page: Page) -> None:
    """An owner or a scenario may be called anything."""
    manifest = fraud.manifest.model_copy(update={"owner": "<script>alert('x')</script>"})
    reader = Reader(model_report(replace(fraud, manifest=manifest)))
    assert "script" not in {tag for tag, _ in reader.tags}
    assert "<script>alert('x')</script>" in reader.text
    assert "compromised <terminal>" in Reader(page("fraud")).text
