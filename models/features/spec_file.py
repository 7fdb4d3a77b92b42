"""Reads a feature spec from YAML. An error names the line and the fix."""

from pathlib import Path

from models.yaml_specs import parse_yaml, read_text
from schemas.feature_spec import FeatureSpec

FIXES = {
    "union_tag_not_found": "add `kind`: field, calendar, since, window, profile; of an application number, category, ratio ...",
}


class FeatureSpecError(ValueError):
    """A feature spec that cannot be used: file, line and fix in one sentence."""


def load_spec(path: Path) -> FeatureSpec:
    """The spec in the YAML file `path`. Raises FeatureSpecError."""
    return parse_spec(read_text(path, "a feature spec", FeatureSpecError), str(path))


def parse_spec(text: str, source: str = "feature spec") -> FeatureSpec:
    """The spec in YAML `text`; `source` names it in errors. Raises FeatureSpecError."""
    return parse_yaml(FeatureSpec, text, source, FeatureSpecError, fixes=FIXES, in_file=_without_kind)


def _without_kind(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """pydantic puts a feature's kind into the path, behind its index; the file has no such level."""
    return path[:2] + path[3:] if path[:1] == ("features",) else path
