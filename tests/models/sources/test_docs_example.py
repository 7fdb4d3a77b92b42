"""The example of docs/sources.md reads the record that the page shows."""

import re
from pathlib import Path

from models.features.spec_file import parse_spec
from models.sources.fits import misfit
from models.sources.parser import EventParser
from models.sources.spec_file import load_source

PAGE = Path("docs/sources.md")
SPEC = Path("docs/examples/source.yaml")


def test_the_pages_spec_reads_the_pages_record() -> None:
    """Every field and attribute of it."""
    shown = re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    parser = EventParser(load_source(SPEC))
    payload = shown[1].encode()
    assert parser.meant(payload)
    events = parser.events([parser.row(payload)])
    assert (events.ids, events.subjects, events.counterparties) == (["a-1"], ["k1:3vq"], ["m-7"])
    assert (events.amount.tolist(), events.time_ms.tolist()) == ([12.34], [1_767_254_400_123])
    assert events.column("mcc") == ["5411"]
    given = {name for name in parser.attributes if events.column(name)[0] is not None}
    assert given == set(parser.attributes) - {"memo"}
    assert events.column("card_present").tolist() == [1.0]


def test_the_pages_features_fit_the_pages_source() -> None:
    """Every kind that the page shows."""
    shown = re.search(r"```yaml\n(keys: .*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    assert misfit(parse_spec(f"version: 1\n{shown[1]}"), load_source(SPEC)) is None


def test_the_features_page_fits_the_pages_source() -> None:
    """Each kind of history that docs/features.md shows."""
    shown = re.search(r"```yaml\n(keys: .*?)```", Path("docs/features.md").read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    assert misfit(parse_spec(f"version: 1\n{shown[1]}"), load_source(SPEC)) is None
