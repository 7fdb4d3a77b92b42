"""Reads a policy from YAML and compiles it. An error names file, line, column and rule, and shows the place."""

from pathlib import Path

import yaml

from models.policy.known import Known
from models.policy.program import Program, RuleError, RulesError
from models.yaml_specs import Loader, parse_yaml, read_text
from schemas.policy import Policy

SHOWN_MAX = 60
"""So many known names are shown with an error."""

ERRORS_MAX = 10


class PolicyError(ValueError):
    """A policy that cannot be used: file, line, and the fix."""


def load_policy(path: Path) -> tuple[Policy, str]:
    """The policy in the YAML file `path`, and its text. Raises PolicyError."""
    text = read_text(path, "a policy", PolicyError)
    return parse_policy(text, str(path)), text


def parse_policy(text: str, source: str = "policy") -> Policy:
    """The policy in YAML `text`; `source` names it in errors. Raises PolicyError."""
    return parse_yaml(Policy, text, source, PolicyError)


def compile_policy(policy: Policy, known: Known, text: str | None = None, source: str = "policy") -> Program:
    """The policy, ready to run. text: as it was written, so that errors can name lines. Raises PolicyError."""
    if policy.judges != known.judges:
        raise PolicyError(
            f"{source}: it judges {policy.judges}, and the bundle {known.judges}: take another, or correct judges."
        )
    try:
        return Program(policy, known)
    except RulesError as found:
        shown = [_sentence(policy, error, text, source) for error in found.errors[:ERRORS_MAX]]
        more = len(found.errors) - len(shown)
        rest = [f"And {more} more rules cannot be used."] if more else []
        raise PolicyError("\n".join([*shown, *rest, _known(known)])) from None


def _sentence(policy: Policy, error: RuleError, text: str | None, source: str) -> str:
    """Where it is and what it is, and under it the line with the place marked."""
    rule = policy.rules[error.place]
    start, end = error.error.span
    before = rule.condition[:start]
    row, column = before.count("\n"), start - (before.rfind("\n") + 1)
    line = rule.condition.split("\n")[row]
    width = max(1, min(end + 1, len(rule.condition)) - start)
    mark = " " * column + "^" * max(1, min(width, len(line) - column))
    where = _place(text, error.place, row, column)
    what = error.error.what if error.error.what.endswith("?") else f"{error.error.what}."
    return f"{source}{where}: rule {rule.name}: {what}\n    {line}\n    {mark}"


def _place(text: str | None, rule: int, row: int, column: int) -> str:
    """Line and column (from 1) in the file of a place in a rule's condition."""
    node = _condition_node(text, rule) if text is not None else None
    if node is None:
        return f", condition's line {row + 1}, column {column + 1}"
    line, inset = node.start_mark.line, node.start_mark.column
    if node.style in ("|", ">"):
        lines = (text or "").splitlines()
        body = lines[line + 1] if line + 1 < len(lines) else ""
        return f", line {line + 2 + row}, column {len(body) - len(body.lstrip()) + column + 1}"
    quote = 1 if node.style in ("'", '"') else 0
    return f", line {line + 1}, column {inset + quote + column + 1}"


def _condition_node(text: str | None, rule: int) -> yaml.ScalarNode | None:
    root = yaml.compose(text or "", Loader=Loader)
    for name in ("rules", rule, "condition"):
        if isinstance(root, yaml.MappingNode):
            root = next((value for key, value in root.value if key.value == name), None)
        elif isinstance(root, yaml.SequenceNode) and isinstance(name, int) and name < len(root.value):
            root = root.value[name]
        else:
            return None
    return root if isinstance(root, yaml.ScalarNode) else None


def _known(known: Known) -> str:
    names = known.names()
    more = len(names) - SHOWN_MAX
    rest = f" and {more} more (`assay policy columns`)" if more > 0 else ""
    return f"Known are {', '.join(names[:SHOWN_MAX])}{rest}."
