"""Pages people read: each decision has its form, the log its way back, and every link of a page leads somewhere."""

import re
from pathlib import Path

import pytest

from services.documentation import CHANGE, DECISION
from tests.test_tidy import ROOT, tracked

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
PAGES = [path for path in tracked() if path.suffix == ".md"]
LOG = ROOT / "docs" / "log.md"

HEADINGS = ["Context", "Decision", "Consequences"]
ENTRY = re.compile(r"^### (?P<number>\d+)\. (?P<title>.+)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]\n]*\]\((?!https?:|mailto:)(?P<target>[^)\s]*)\)")
PATH = re.compile(r"`((?:services|models|schemas|tests|deploy|docs)/[\w/.-]*)`")
PLAN = "\n## The plan\n"
"""In ARCHITECTURE.md: what it names is not there yet."""

HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchor(heading: str) -> str:
    """A heading's address within its page, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def missing_paths(page: Path) -> list[str]:
    """Files and folders of this repository that a page names in code, and that are not there."""
    text = page.read_text(encoding="utf-8").partition(PLAN)[0]
    return [name for name in PATH.findall(text) if not (ROOT / name.rstrip(".")).exists()]


def without_code(text: str) -> str:
    """Links in examples lead nowhere."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def dead_links(page: Path) -> list[str]:
    """Targets whose file, or whose heading in it, does not exist."""
    found = []
    for target in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        name, _, heading = target.partition("#")
        aim = page.parent / name if name else page
        if not aim.exists() or (
            heading and heading not in map(anchor, HEADING.findall(aim.read_text(encoding="utf-8")))
        ):
            found.append(target)
    return found


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_a_decision_has_a_number_a_status_and_three_parts(path: Path) -> None:
    """`# N. Title`, `Status: accepted, YYYY-MM-DD`, then context, decision and consequences, none of them empty."""
    text = path.read_text(encoding="utf-8")
    head = DECISION.match(text)
    assert head is not None
    assert int(head["number"]) == int(path.name[:4])
    assert head["status"] in ("proposed", "accepted", "rejected")
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", head["date"])
    assert CHANGE.sub("", head["changes"]) == ""
    parts = re.split(r"^## (.+)$", text[head.end() :], flags=re.MULTILINE)
    assert parts[0].strip() == ""
    assert parts[1::2] == HEADINGS
    assert all(part.strip() for part in parts[2::2])


def test_no_number_is_given_twice() -> None:
    """A number names one decision."""
    numbers = [path.name[:4] for path in DECISIONS]
    assert len(numbers) == len(set(numbers)) > 80


def test_what_changed_a_decision_is_a_later_one() -> None:
    """A status names the page that amends or supersedes, by its own number."""
    for path in DECISIONS:
        head = DECISION.match(path.read_text(encoding="utf-8"))
        for _, link in CHANGE.findall(head["changes"] if head else ""):
            shown, target = re.fullmatch(r"\[(\d+)\]\((\S+)\)", link).groups()  # type: ignore[union-attr]
            assert int(path.name[:4]) < int(shown) == int(target[:4]), path.name


def test_the_log_and_its_decisions_name_each_other() -> None:
    """An entry ends with its decision, and that page links to the entry."""
    entries = re.split(r"^(?=##)", LOG.read_text(encoding="utf-8"), flags=re.MULTILINE)
    seen = 0
    for entry in entries:
        if head := ENTRY.match(entry):
            end = re.search(r"^Decision \[(\d+)\]\((decisions/\S+)\)\.$", entry, re.MULTILINE)
            assert end is not None
            assert end[1] == head["number"], head["title"]
            page = (LOG.parent / end[2]).read_text(encoding="utf-8")
            assert f"(../log.md#{anchor(head[0].removeprefix('### '))})" in page
            seen += 1
    assert seen > 15


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """To a file that is there, and to a heading that it has."""
    assert dead_links(ROOT / page) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    """A file that is not there, a heading that is not in it; not an example in code."""
    page = tmp_path / "page.md"
    page.write_text("# One heading\n[a](#one-heading) [b](#other) [c](gone.md) [d](page.md#gone) `[e](x.md)`\n")
    assert dead_links(page) == ["#other", "gone.md", "page.md#gone"]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=str)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    """A module that moved takes its name in the pages along."""
    assert missing_paths(ROOT / page) == []


def test_a_path_that_moved_is_found(tmp_path: Path) -> None:
    """In code only; what the plan names may not be there yet."""
    page = tmp_path / "page.md"
    page.write_text(f"`docs/log.md` `docs/gone.md` docs/plain.md{PLAN}`models/later`")
    assert missing_paths(page) == ["docs/gone.md"]
