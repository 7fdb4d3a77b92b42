"""Puts the sections of a report together into one HTML page."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from models.bundle.verdict import report_mark
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

SECTIONS = (
    decisions_section,
    ranking_section,
    calibration_section,
    distributions_section,
    breakdown_section,
    importance_section,
    latent_section,
    drift_section,
    comparison_section,
    card_section,
)


def model_report(data: ReportInput) -> bytes:
    """The page, UTF-8. It has no script and asks no one for anything; the same input gives the same bytes."""
    templates = Environment(
        loader=PackageLoader("models.training.model_report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    sections = [section for section in (make(data) for make in SECTIONS) if section]
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
