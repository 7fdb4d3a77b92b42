"""What records hold reaches no terminal as a command."""

import pytest

from services.cli.output import shown


@pytest.mark.parametrize("text", ["\x1b]0;pwned\x07\x1b[2J", "a\rHIDDEN", "\u202egnp.exe", "\x9b31m", "a\nb"])
def test_no_control_character_of_a_record_reaches_the_terminal(text: str) -> None:
    """It is shown as its escape; ordinary text stays as it is."""
    assert shown(text).isprintable()
    assert shown("k1:abc [bold]é") == "k1:abc [bold]é"
