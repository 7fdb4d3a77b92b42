"""A source spec names the format of its records; what cannot be read is refused with the line and the fix."""

from pathlib import Path

import pytest

from models.sources.spec_file import SourceSpecError, load_source, parse_source
from tests.models.sources.test_source_spec import GOOD


def test_a_format_by_its_name_is_the_block_with_its_defaults() -> None:
    """And another format, or envelope, is another source."""
    spec = parse_source(GOOD + "format: avro\n")
    assert parse_source(GOOD + "format: {type: avro, framing: confluent}\n").digest() == spec.digest()
    others = ("format: protobuf\n", "format: json_schema\n", "envelope: debezium\n", "envelope: cloudevents\n")
    assert len({spec.digest(), *(parse_source(GOOD + other).digest() for other in others)}) == 5


def test_a_schema_file_is_taken_into_the_spec(tmp_path: Path) -> None:
    """So that a bundle carries it, and another schema is another source."""
    path = tmp_path / "source.yaml"
    path.write_text(GOOD + "format: {type: avro, framing: plain, schema_file: payment.avsc}\n")
    (tmp_path / "payment.avsc").write_text('"string"')
    spec = load_source(path)
    assert (spec.format.schema_text, spec.format.schema_file) == ('"string"', None)
    (tmp_path / "payment.avsc").write_text('"bytes"')
    assert load_source(path).digest() != spec.digest()
    (tmp_path / "payment.avsc").unlink()
    with pytest.raises(SourceSpecError, match=r"schema file payment\.avsc cannot be read .* correct schema_file"):
        load_source(path)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("format: xml", "line 17: format: Input should be 'json', 'avro', 'protobuf' or 'json_schema'"),
        ("format: {type: avro, framing: plain}", "plain avro does not say its schema; add schema_file"),
        ("format: {type: protobuf, schema_text: x}", "protobuf takes no schema here; remove it"),
        ("format: {type: json, schema_file: x}", "json takes no schema here; remove it"),
        ("format: {type: avro, message: x}", "only plain protobuf takes the name of a message; remove it"),
        ("format: {type: avro, schema_file: x, schema_text: y}", "given as a file and as text; remove one"),
        ("format: {type: json, framing: plain}", "json has no framing; remove it, or write json_schema"),
        ("envelope: soap", "line 17: envelope: Input should be 'none', 'debezium', 'connect' or 'cloudevents'"),
    ],
)
def test_a_format_that_cannot_be_read_is_one_sentence_with_its_line(line: str, sentence: str) -> None:
    """Before any record is."""
    with pytest.raises(SourceSpecError, match=f"line 17: .*{sentence.partition(': ')[2] or sentence}"):
        parse_source(GOOD + line + "\n")
