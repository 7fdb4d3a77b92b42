"""Who asks for an answer, and that the others cost nothing but a look."""

from types import SimpleNamespace
from typing import Any

import pytest

from schemas.topics import REQUEST_HEADER
from services.scorer.answers import requests


def record(*headers: tuple[str, bytes]) -> Any:
    """A record with these headers."""
    return SimpleNamespace(headers=headers)


def test_records_without_headers_ask_for_nothing() -> None:
    """As nearly all of them."""
    assert requests([]) == {}
    assert requests([record(), record()]) == {}


def test_a_record_names_its_request() -> None:
    """Among others that have other headers or none."""
    asking = record(("traceparent", b"00-1"), (REQUEST_HEADER, b"gateway:7"))
    assert requests([record(), asking, record(("traceparent", b"00-2"))]) == {1: b"gateway:7"}


def test_the_first_of_two_requests_counts() -> None:
    """A second would make one event answered twice."""
    assert requests([record((REQUEST_HEADER, b"a:1"), (REQUEST_HEADER, b"b:2"))]) == {0: b"a:1"}


@pytest.mark.parametrize("value", [b"", b"x" * 65, b"a b", b"a\n", b"\xff", "ä".encode(), None])
def test_a_value_that_names_no_request_asks_for_nothing(value: Any) -> None:
    """Nothing of it is repeated anywhere."""
    assert requests([record((REQUEST_HEADER, value))]) == {}
