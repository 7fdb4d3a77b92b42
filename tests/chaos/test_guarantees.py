"""docs/guarantees.md and the list of mutations do not outlive what they speak of."""

import ast
import re

import pytest

from tests.chaos.mutations import BEGIN, END, MUTATIONS, PAGE, ROOT, Mutation

LINKS = re.findall(r"\[`?([^`\]]+)`?\]\(\.\./(tests/[^)]+)\)", PAGE.read_text(encoding="utf-8"))


def names(path: str) -> set[str]:
    """Functions and top-level names of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return functions | assigned


def test_the_page_links_to_tests() -> None:
    """And the pattern finds them."""
    assert len(LINKS) > 30


@pytest.mark.parametrize(("name", "path"), sorted(set(LINKS)))
def test_every_link_of_the_page_leads_to_a_test_that_exists(name: str, path: str) -> None:
    """A promise whose test was renamed or removed would be an empty one."""
    assert (ROOT / path).is_file()
    assert name in names(path) | {path.rpartition("/")[2]}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.rule}: {mutation.what}")
def test_every_mutation_still_finds_its_rule_in_the_source(mutation: Mutation) -> None:
    """Once, and the test that must notice is there."""
    assert (ROOT / mutation.path).read_text(encoding="utf-8").count(mutation.old) == 1
    path, _, name = mutation.test.partition("::")
    assert not name or name in names(path)


def test_every_rule_has_a_mutation_and_the_page_says_that_each_was_caught() -> None:
    """As `make mutations` found it."""
    assert {mutation.rule for mutation in MUTATIONS} == set("ABCDEFGHI")
    section = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    for mutation in MUTATIONS:
        assert f"| {mutation.rule} | {mutation.what} | caught by " in section
    assert "not caught" not in section
