"""The generated pages are what the code says."""

from pathlib import Path

import pytest

from services.documentation import PAGES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_page_is_current(name: str) -> None:
    """Otherwise run `python -m services.documentation`."""
    assert (DOCS / name).read_text() == PAGES[name]()
