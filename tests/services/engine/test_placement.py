"""Where ids belong: as Kafka's own partitioner says, of ids of any length and script."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given, settings
from hypothesis import strategies as st

from services.engine.placement import Subjects, place

IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128), min_size=1, max_size=20)


@given(IDS, st.integers(1, 40))
@settings(deadline=None)
def test_every_id_belongs_where_the_default_partitioner_puts_it(ids: list[str], number: int) -> None:
    """Through the words of the fold, and where these stand for a longer id; by batch and one by one."""
    numbers = list(range(number))
    expected = [DefaultPartitioner()(subject.encode(), numbers, numbers) for subject in ids]
    assert Subjects.of(ids).partitions(number).tolist() == expected
    assert [place(subject.encode(), number) for subject in ids] == expected


@pytest.mark.parametrize("length", [1, 3, 4, 60, 63, 64, 65, 256])
def test_the_edges_of_the_words_are_exact(length: int) -> None:
    """Whole words, the last word, and one byte more than there is room for."""
    ids = ["x" * length, "é" * (length // 2 or 1), "x" * length + "\n"]
    expected = [DefaultPartitioner()(subject.encode(), [*range(7)], [*range(7)]) for subject in ids]
    assert Subjects.of(ids).partitions(7).tolist() == expected


def test_only_what_lies_elsewhere_is_counted() -> None:
    """Of the ids on one partition, those that belong on another."""
    ids = [f"card-{number}" for number in range(100)]
    here = [subject for subject in ids if place(subject.encode(), 4) == 2]
    assert Subjects.of(here).misplaced(2, 4) == 0
    assert Subjects.of(ids).misplaced(2, 4) == 100 - len(here)
