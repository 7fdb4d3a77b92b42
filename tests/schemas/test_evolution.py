"""The rule of `schemas/base.py`: old and new messages go through the same reader, on the hot path and off it."""

import json
from collections.abc import Callable

import pytest
from pydantic import Field

from schemas import codec
from schemas.topics import TOPICS, Topic
from schemas.transaction import Transaction

FIRST_VERSION = {"transaction_id": "t-1", "event_time_ms": 1, "card_id": "c-1", "terminal_id": "m-1", "amount": 2.5}

Reader = Callable[[type[Transaction], bytes], Transaction]


class NextTransaction(Transaction):
    """Transaction, one release later."""

    loyalty_points: int = Field(0, description="Added.")


@pytest.fixture(params=["hot path", "pydantic"])
def read(request: pytest.FixtureRequest) -> Reader:
    """Both ways to read."""
    if request.param == "pydantic":
        return codec.read
    return lambda schema, payload: codec.decoder(schema)(payload)


def test_a_new_reader_takes_the_default_for_a_field_that_an_old_message_lacks(read: Reader) -> None:
    """Added fields have defaults."""
    message = read(NextTransaction, json.dumps(FIRST_VERSION).encode())
    assert message.amount == 2.5
    assert message.loyalty_points == 0  # type: ignore[attr-defined]


def test_an_old_reader_ignores_a_field_that_a_new_message_has(read: Reader) -> None:
    """Whatever is in it."""
    new = codec.write(NextTransaction(**FIRST_VERSION, loyalty_points=7))
    old = read(Transaction, new)
    assert old.transaction_id == "t-1"
    assert not hasattr(old, "loyalty_points")


def test_a_field_of_the_producers_own_passes_unread(read: Reader) -> None:
    """Unknown fields may hold anything that is JSON."""
    extra = {"trace": {"spans": [1, None, {"deep": True}]}, "amount_original": "2,50"}
    assert read(Transaction, json.dumps(FIRST_VERSION | extra).encode()).amount == 2.5


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topics_reader_ignores_unknown_fields_and_refuses_nan(topic: Topic) -> None:
    """No schema departs from the base's rule."""
    assert topic.schema.model_config["extra"] == "ignore"
    assert topic.schema.model_config["strict"]
    assert not topic.schema.model_config["allow_inf_nan"]
