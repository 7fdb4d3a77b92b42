"""Reads a feature spec from YAML. An error names the line and the fix."""

import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.feature_spec import FeatureSpec

FIXES = {
    "missing": "add it",
    "extra_forbidden": "it is unknown here; remove it or correct its spelling",
    "union_tag_not_found": "add `kind`: field, calendar, since, window, profile; of an application number, category, ratio ...",
}


class FeatureSpecError(ValueError):
    """A feature spec that cannot be used: file, line and fix in one sentence."""


def load_spec(path: Path) -> FeatureSpec:
    """The spec in the YAML file `path`. Raises FeatureSpecError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FeatureSpecError(f"{path} cannot be read ({error}); give the path of a feature spec in YAML.") from None
    return parse_spec(text, str(path))


def parse_spec(text: str, source: str = "feature spec") -> FeatureSpec:
    """The spec in YAML `text`; `source` names it in errors. Raises FeatureSpecError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise FeatureSpecError(f"{source}, line {line}: not YAML ({error.problem}); correct the line.") from None
    except yaml.YAMLError as error:
        raise FeatureSpecError(f"{source}: not YAML ({error}); write it as UTF-8 text.") from None
    except RecursionError:
        raise FeatureSpecError(f"{source}: nested too deeply; a feature spec has three levels.") from None
    except ValueError as error:
        raise FeatureSpecError(f"{source}: a value that cannot be read ({error}); correct it.") from None
    try:
        # Through JSON, as from a manifest: there a list may become a tuple although types are strict.
        return FeatureSpec.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise FeatureSpecError(_sentence(error.errors()[0], root, source)) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise FeatureSpecError(
            f"{source}: YAML that JSON has no form for ({error}); write names as plain text."
        ) from None


def _sentence(error: ErrorDetails, root: yaml.Node | None, source: str) -> str:
    context = error.get("ctx", {})
    path: Sequence[str | int] = context.get("path", _without_kind(error["loc"]))
    line, known = _locate(root, path)
    where = ".".join(str(part) for part in known) or "the spec"
    if error["type"] == "feature_spec":
        return f"{source}, line {line}: {error['msg']}."
    fix = FIXES.get(error["type"], error["msg"])
    missing = f".{path[-1]}" if error["type"] == "missing" else ""
    return f"{source}, line {line}: {where}{missing}: {fix}."


def _without_kind(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """pydantic puts a feature's kind into the path, behind its index; the file has no such level."""
    return path[:2] + path[3:] if path[:1] == ("features",) else path


def _locate(root: yaml.Node | None, path: Sequence[str | int]) -> tuple[int, list[str | int]]:
    """Line (from 1) of the node at `path`, or of the last one on the way that exists, and the way to it."""
    node, line, known = root, (root.start_mark.line + 1 if root else 1), []
    for part in path:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            child = next((value for key, value in node.value if key.value == part), None)
            line = next((key.start_mark.line + 1 for key, _ in node.value if key.value == part), line)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            child = node.value[part]
            line = child.start_mark.line + 1
        if child is None:
            break
        node = child
        known.append(part)
    return line, known
