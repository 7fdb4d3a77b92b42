"""Values of Kafka Connect: what a hostile schema costs, and whose fault it is."""

from typing import Any

import pytest

from models.sources.envelopes.connect import DECIMAL, with_decimals
from schemas.codec import SchemaError


class Counted(dict[str, Any]):
    """A schema that counts how often its fields are taken."""

    taken = 0

    def __getitem__(self, key: str) -> Any:
        self.taken += key == "fields"
        return super().__getitem__(key)


def test_the_schema_of_a_list_of_structs_is_read_once_however_long_the_list_is() -> None:
    """Read for each, 70 kB would take more than a second."""
    struct = Counted(type="struct", fields=[{"field": f"f{number}", "type": "string"} for number in range(2_000)])
    assert with_decimals([{}] * 3_000, {"type": "array", "items": struct}) == [{}] * 3_000
    assert struct.taken == 1


def test_a_field_whose_name_is_no_text_describes_nothing() -> None:
    """And the value stays as it is."""
    assert with_decimals({"a": 1}, {"type": "struct", "fields": [{"field": []}]}) == {"a": 1}


@pytest.mark.parametrize("scale", [float("inf"), None, "x", []])
def test_a_decimal_of_an_impossible_scale_is_a_fault_of_the_record(scale: Any) -> None:
    """Not one of ours, which would raise an alarm."""
    with pytest.raises(SchemaError):
        with_decimals("AQ==", {"name": DECIMAL, "type": "bytes", "parameters": {"scale": scale}})
