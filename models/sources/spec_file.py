"""Reads a source spec from YAML; and the spec that holds where a user gives none. An error names the line and the fix."""

import functools
from dataclasses import replace
from pathlib import Path
from typing import Literal

from models.yaml_specs import parse_yaml, read_text
from schemas.feature_spec import FeatureSpec
from schemas.record_format import SCHEMA_CHARACTERS_MAX
from schemas.source_spec import SourceSpec
from schemas.topics import ENTITY_FEATURES, EVENTS, TRANSACTIONS, Topic

FIXES = {
    "union_tag_not_found": "add `type`: number, category, flag, id, ip, geo, time or text",
    "union_tag_invalid": "its type is unknown; write number, category, flag, id, ip, geo, time or text",
}
DEFAULT = Path(__file__).with_name("transactions.yaml")


class SourceSpecError(ValueError):
    """A source spec that cannot be used: file, line and fix in one sentence."""


def load_source(path: Path) -> SourceSpec:
    """The spec in the YAML file `path`. Raises SourceSpecError."""
    return _with_schema(parse_source(read_text(path, "a source spec", SourceSpecError), str(path)), path)


def parse_source(text: str, source: str = "source spec") -> SourceSpec:
    """The spec in YAML `text`; `source` names it in errors. Raises SourceSpecError."""
    return parse_yaml(SourceSpec, text, source, SourceSpecError, fixes=FIXES, in_file=_without_type, levels="a few")


def _with_schema(spec: SourceSpec, path: Path) -> SourceSpec:
    """The spec with the text of its schema file, so that it says all by itself wherever it travels."""
    file = spec.format.schema_file
    if file is None:
        return spec
    try:
        text = (path.parent / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceSpecError(
            f"{path}: the schema file {file} cannot be read ({error}); correct schema_file."
        ) from None
    if not 0 < len(text) <= SCHEMA_CHARACTERS_MAX:
        raise SourceSpecError(f"{path}: {file} has {len(text)} characters; a schema has 1 to {SCHEMA_CHARACTERS_MAX}.")
    made = spec.format.model_copy(update={"schema_file": None, "schema_text": text})
    return spec.model_copy(update={"format": made})


@functools.cache
def default_source() -> SourceSpec:
    """The spec of Assay's own topic `transactions`."""
    return load_source(DEFAULT)


def topic_of(source: SourceSpec | None) -> Topic:
    """The topic of a source's events: `events`, where intake makes them, or the user's own."""
    return EVENTS if source is not None and source.is_routed else users_topic(source)


def users_topic(source: SourceSpec | None) -> Topic:
    """The topic that holds the user's own records: what intake reads, or the scorer itself; named whole.

    Raises SourceSpecError where only a file can be read by the spec.
    """
    if source is not None and source.of_rows:
        raise SourceSpecError(
            f"The source spec of {source.topic} takes the number of a row as an id, which only a file has: name a field of the "
            "records in place of `row: true`, or score files with `assay batch`."
        )
    if source is None:
        return TRANSACTIONS
    partitions: Literal["input", "any"] = "any" if source.is_routed else "input"
    return replace(TRANSACTIONS, name=source.topic, users=True, partitions=partitions)


def scorer_input(source: SourceSpec | None, features: FeatureSpec) -> Topic:
    """The topic that a scorer reads: where features read entities, what `assay entities` makes of the source's."""
    return ENTITY_FEATURES if features.stages else topic_of(source)


def _without_type(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """pydantic puts an attribute's type into the path, behind its name; the file has no such level."""
    return path[:2] + path[3:] if path[:1] == ("attributes",) else path
