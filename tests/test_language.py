"""The glossary and the code agree: its names exist, and words that it replaces are gone."""

import ast
import re
from pathlib import Path

from tests.test_tidy import ROOT, tracked

GLOSSARY = ROOT / "docs" / "glossary.md"
ROW = re.compile(r"^\| (?P<term>[^|]+) \| [^|]+ \| `(?P<name>\w+)` \|$", re.MULTILINE)
REPLACED = re.compile(
    r"\b(anew|farewell|in force|let go|mend(s|ed|ing)?|whoever|refold(s|ed|ing)?|torn|patiently|untold|judge_unseen)\b"
    r"|(?<![\"'])\bnobody\b(?![\"'(-])",
    re.IGNORECASE,
)
"""What the glossary's second table lists, and identifiers of earlier versions."""

PROSE = {".py", ".md", ".yaml", ".yml", ".toml"}

HISTORY = (
    "CHANGELOG.md",
    "docs/glossary.md",
    "docs/benchmarks",
    "docs/results",
    "deploy/bundles/",
)
"""What was written with the words of its day, or is signed."""

ALLOWED = {
    "schemas/control.py": "refold: a field on a topic",
    "docs/topics.md": "refold: a field on a topic",
    "services/commanding.py": "refold: a field on a topic",
    "services/console/promotions.py": "refold: a field on a topic",
    "services/cli/bundles/registry.py": "refold: an option's old name",
    "services/swapping/swap.py": "refold: a field on a topic",
    "services/cli/offline/verify.py": "torn: a key's old name",
    "services/cli/demo/outcome.py": "torn: a key's old name",
    "docs/decisions/0085-the-registry-is-the-truth-a-command-its-trigger.md": "refold: an option's old name",
    "tests/services/engine/test_suspects.py": "torn: a state, in a test's sense",
}


def names() -> set[str]:
    """Every name that the code gives to something."""
    found: set[str] = set()
    for path in tracked():
        if path.suffix != ".py" or path.parts[0] not in ("schemas", "models", "services"):
            continue
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            match node:
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found.add(name)
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                    found.add(name)
                case ast.keyword(arg=str(name)):
                    found.add(name)
    return found


def test_every_name_of_the_glossary_is_one_of_the_code() -> None:
    """A term whose class or field is gone is out of date."""
    rows = dict(ROW.findall(GLOSSARY.read_text()))
    assert len(rows) > 30
    known = names()
    assert {term: name for term, name in rows.items() if name not in known} == {}


def test_the_terms_are_in_order() -> None:
    """People look them up."""
    terms = [term for term, _ in ROW.findall(GLOSSARY.read_text())]
    assert terms == sorted(terms)


def test_words_that_the_glossary_replaces_are_not_used() -> None:
    """One word for one thing, in code and prose."""
    found = []
    for path in tracked():
        name = str(path)
        if path.suffix not in PROSE or name.startswith(HISTORY) or name in ALLOWED or path.name == Path(__file__).name:
            continue
        text = (ROOT / path).read_text()
        found += [
            f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}" for match in REPLACED.finditer(text)
        ]
    assert found == []
