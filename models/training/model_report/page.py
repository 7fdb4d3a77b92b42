"""Puts the sections of a report together into one HTML page."""

from collections.abc import Callable, Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from models.bundle.verdict import report_mark
from models.training.model_report.blocks import Section
from models.training.model_report.breakdown import breakdown_section
from models.training.model_report.calibration import calibration_section
from models.training.model_report.card import card_section
from models.training.model_report.comparison import comparison_section
from models.training.model_report.decisions import decisions_section
from models.training.model_report.distributions import distributions_section
from models.training.model_report.drift import drift_section
from models.training.model_report.importance import importance_section
from models.training.model_report.inputs import ReportInput
from models.training.model_report.latent import latent_section
from models.training.model_report.ranking import ranking_section
from models.training.model_report.summary import summarise

SECTIONS: dict[str, Callable[[ReportInput], Section | None]] = {
    "decisions": decisions_section,
    "ranking": ranking_section,
    "calibration": calibration_section,
    "distributions": distributions_section,
    "breakdown": breakdown_section,
    "importance": importance_section,
    "latent": latent_section,
    "drift": drift_section,
    "comparison": comparison_section,
    "card": card_section,
}


def model_report(data: ReportInput, kept: Mapping[str, Section | None] | None = None) -> bytes:
    """The page, UTF-8. It has no script and fetches nothing; the same input gives the same bytes.

    kept: by id, sections of an earlier report that are taken as they are; None for one that it has not.
    """
    kept = kept or {}
    templates = Environment(
        loader=PackageLoader("models.training.model_report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made = [kept[name] if name in kept else make(data) for name, make in SECTIONS.items()]
    sections = [section for section in made if section]
    said = data.manifest.statement
    page = templates.get_template("page.html").render(
        manifest=data.manifest,
        words=data.words,
        rows=len(data.test),
        summary=summarise(data),
        sections=sections,
        statement=Markup(report_mark(said)) if said else None,  # noqa: S704  (a digest in hex)
    )
    return page.encode()
