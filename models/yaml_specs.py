"""Reads a spec from YAML into its pydantic model. An error is one sentence that names the line, the field and the fix."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)

Location = Sequence[str | int]

OWN_ERRORS = ("feature_spec", "spec")
"""Types of the errors that a spec raises in its own words."""

FIXES = {
    "missing": "add it",
    "extra_forbidden": "it is unknown here; remove it or correct its spelling",
}


CHARACTERS_MAX = 4 << 20
VALUES_MAX = 200_000
"""With each alias counted as what it stands for: a few lines of aliases could be more values than there is memory for."""


class Loader(yaml.SafeLoader):
    """YAML as 1.2 has it: NO and on are texts, 12:30 and 2026-01-01 too, 010 is ten."""


Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
    ("merge", r"^(?:<<)$", ["<"]),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _whole_number(loader: Loader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)


def read_text(path: Path, what: str, error: type[ValueError]) -> str:
    """The text of a file. what: names it in the sentence of `error`, which is raised where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as found:
        why = getattr(found, "strerror", None) or found
        raise error(f"{path} cannot be read ({why}): give the path of {what} in YAML.") from None


def parse_yaml(
    model: type[M],
    text: str,
    source: str,
    error: type[ValueError],
    *,
    fixes: Mapping[str, str] | None = None,
    in_file: Callable[[tuple[str | int, ...]], Location] = tuple,
    levels: str = "three",
    check: Callable[[M], Iterable[tuple[Location, str]]] = lambda spec: (),
) -> M:
    """The spec in YAML `text`. source: names it in the sentence of `error`, which is raised where it cannot be used.

    in_file: the place in the file of what pydantic locates. levels: how many a spec has, in words.
    check: what is wrong with a new spec although it is one: where, and what, with the fix.
    """
    if len(text) > CHARACTERS_MAX:
        raise error(f"{source}: it has {len(text):,} characters; a spec has {CHARACTERS_MAX:,} at most.")
    try:
        root = yaml.compose(text, Loader=Loader)
        if root is not None and _values(root) > VALUES_MAX:
            raise error(f"{source}: its aliases make more than {VALUES_MAX:,} values; write fewer.")
        content = yaml.load(text, Loader=Loader)  # noqa: S506  (a SafeLoader)
    except yaml.MarkedYAMLError as found:
        line = found.problem_mark.line + 1 if found.problem_mark else 1
        raise error(f"{source}, line {line}: not YAML ({found.problem}); correct the line.") from None
    except yaml.YAMLError as found:
        raise error(f"{source}: not YAML ({found}); write it as UTF-8 text.") from None
    except RecursionError:
        raise error(f"{source}: nested too deeply; a spec has {levels} levels.") from None
    except error:
        raise
    except (KeyError, AttributeError, TypeError) as found:  # of the library, over a tag that its value does not fit
        raise error(
            f"{source}: a tag (!!) and its value do not fit together ({type(found).__name__}); leave out the tag."
        ) from None
    except ValueError as found:
        raise error(f"{source}: a value that cannot be read ({found}); correct it.") from None
    try:
        # Through JSON, as from a manifest: there a list may become a tuple although types are strict.
        made = model.model_validate_json(json.dumps(content, default=str))
    except ValidationError as found:
        raise error(_sentence(found.errors()[0], root, source, {**FIXES, **(fixes or {})}, in_file)) from None
    except (TypeError, ValueError, RecursionError) as found:
        raise error(f"{source}: YAML that JSON has no form for ({found}); write names as plain text.") from None
    for path, problem in check(made):
        raise error(f"{source}, line {_locate(root, path)[0]}: {problem}.")
    return made


def _values(root: yaml.Node) -> int:
    """How many values a document has where its aliases are written out. Raises RecursionError where one contains itself."""
    known: dict[int, int] = {}
    open_ones: set[int] = set()

    def count(node: yaml.Node) -> int:
        if id(node) in known:
            return known[id(node)]
        if isinstance(node, yaml.ScalarNode):
            return 1
        if id(node) in open_ones:
            raise RecursionError
        open_ones.add(id(node))
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(one,) for one in node.value]
        known[id(node)] = 1 + sum(count(one) for pair in pairs for one in pair)
        open_ones.remove(id(node))
        return known[id(node)]

    return count(root)


def _sentence(
    error: ErrorDetails,
    root: yaml.Node | None,
    source: str,
    fixes: Mapping[str, str],
    in_file: Callable[[tuple[str | int, ...]], Location],
) -> str:
    context = error.get("ctx", {})
    own = error["type"] in OWN_ERRORS
    # an error of a part of a spec is located by pydantic; one of the whole says itself where it is
    path: Location = context["path"] if "path" in context else in_file(error["loc"])
    line, known = _locate(root, path)
    where = ".".join(str(part) for part in known) or "the spec"
    if own:
        return f"{source}, line {line}: {'' if 'path' in context else f'{where}: '}{error['msg']}."
    fix = fixes.get(error["type"], error["msg"])
    missing = f".{path[-1]}" if error["type"] == "missing" else ""
    return f"{source}, line {line}: {where}{missing}: {fix}."


def _locate(root: yaml.Node | None, path: Location) -> tuple[int, list[str | int]]:
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
