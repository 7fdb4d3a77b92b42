"""Reads a feature spec from YAML. An error names the line and the fix."""

from collections.abc import Iterator
from pathlib import Path

from models.yaml_specs import parse_yaml, read_text
from schemas.feature_spec import FeatureSpec

FIXES = {
    "union_tag_not_found": "add `kind`: field, calendar, since, window, profile; of an application number, category, ratio ...",
}


class FeatureSpecError(ValueError):
    """A feature spec that cannot be used: file, line and fix in one sentence."""


def load_spec(path: Path) -> FeatureSpec:
    """The spec in the YAML file `path`. Raises FeatureSpecError, also for what only specs of existing bundles may have."""
    text = read_text(path, "a feature spec", FeatureSpecError)
    return parse_yaml(
        FeatureSpec, text, str(path), FeatureSpecError, fixes=FIXES, in_file=_without_kind, check=_partial_histories
    )


def parse_spec(text: str, source: str = "feature spec") -> FeatureSpec:
    """The spec in YAML `text`; `source` names it in errors. Raises FeatureSpecError."""
    return parse_yaml(FeatureSpec, text, source, FeatureSpecError, fixes=FIXES, in_file=_without_kind)


def _partial_histories(spec: FeatureSpec) -> Iterator[tuple[tuple[str, str], str]]:
    """Keys other than the subject: their history would be that of a partition's share, in a file that of the whole."""
    for name, field in spec.keys.items():
        if field != "card_id":
            yield (
                ("keys", name),
                "a key other than card_id sees its partition's payments only, and a file all of them; write it under "
                f"entities: {{{name}: {{id: {field}}}}}, and remove it from keys",
            )


def _without_kind(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """pydantic puts a feature's kind into the path, behind its index; the file has no such level."""
    return path[:2] + path[3:] if path[:1] == ("features",) else path
