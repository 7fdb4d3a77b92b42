"""Masked card ids."""

import pytest

from services.cli.masking import masked


@pytest.mark.parametrize(
    ("card_id", "shown"),
    [("card-000123", "***123"), ("0123456789abcdef", "***cdef"), ("c1", "***"), ("abc", "***c"), ("", "***")],
)
def test_a_third_of_an_id_and_four_characters_at_most_are_shown(card_id: str, shown: str) -> None:
    """Short ids are not given away by their ends."""
    assert masked(card_id) == shown
