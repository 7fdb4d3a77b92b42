"""Avro schemas, rewritten so that fastavro returns what JSON can hold, and refused where a few bytes could be a bomb."""

import base64
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

import fastavro
from fastavro import _read_py as plain_reader
from fastavro.read import LOGICAL_READERS

from models.sources.envelopes.connect import decimal_text
from schemas.codec import RejectedError, UnknownSchemaError
from services.formats.budget import spend

EPOCH = date(1970, 1, 1)

KEPT = ("time-millis", "time-micros")
"""Numbers stay what they are: a source spec gives a time's unit."""


def _text(value: bytes, *_: Any) -> str:
    return base64.b64encode(value).decode()


def _number(value: float, *_: Any) -> float | str:
    return (
        value if value - value == 0 else str(value)
    )  # NaN is no number of JSON: as a text it is refused where it is read


def _day(value: int, *_: Any) -> str | int:
    try:
        return (EPOCH + timedelta(days=value)).isoformat()
    except OverflowError:
        return value


def _decimal(value: bytes, schema: Mapping[str, Any], *_: Any) -> str:
    return decimal_text(value, schema.get("scale", 0))


def _uuid(value: bytes, *_: Any) -> str:
    return str(uuid.UUID(bytes=bytes(value)))


def _counted(value: dict[str, Any], *_: Any) -> dict[str, Any]:
    spend(len(value))
    return value


READERS: dict[str, Callable[..., Any]] = {
    "record-assay-counted": _counted,
    "error-assay-counted": _counted,
    "bytes-assay-text": _text,
    "fixed-assay-text": _text,
    "bytes-assay-decimal": _decimal,
    "fixed-assay-decimal": _decimal,
    "fixed-assay-uuid": _uuid,
    "int-assay-day": _day,
    "float-assay-number": _number,
    "double-assay-number": _number,
}
for _readers in (LOGICAL_READERS, plain_reader.LOGICAL_READERS):
    _readers.update(READERS)

PRIMITIVES = {"bytes": "assay-text", "float": "assay-number", "double": "assay-number"}
NUMBERS = ("float", "double")
LOGICAL = {
    ("bytes", "decimal"): "assay-decimal",
    ("fixed", "decimal"): "assay-decimal",
    ("fixed", "uuid"): "assay-uuid",
    ("int", "date"): "assay-day",
}


MAY_NOT_BE_FINITE = re.compile(rb"[\x80-\xff][\x7f\xff]", re.DOTALL)
"""How a float or a double that is NaN or infinite ends, in bytes; other values may hold it, too."""


SCHEMA_BYTES_MAX = 1 << 20
"""With its references. Reading that much takes about a second, in which a process does nothing else."""

EMPTY_FIELDS_MAX = 1
"""In a record that is not counted: fields that may have no bytes. Two in each of forty records within each other are a bomb."""


class AvroSchema(NamedTuple):
    """A schema as fastavro takes it. recursive: read it with the reader whose depth Python bounds.

    finite: for records that hold no NaN or infinity; there a look at each number would take half of the time.
    """

    parsed: Any
    recursive: bool
    finite: Any

    def fits(self, payload: bytes) -> Any:
        """The form to read a record with."""
        return self.parsed if MAY_NOT_BE_FINITE.search(payload) else self.finite


def parse(text: str, references: Sequence[str] = (), *, counted: bool = False) -> AvroSchema:
    """The schema in `text`; references: those that it names, each behind what it needs itself. Raises UnknownSchemaError.

    counted: of every record, for records that are read as another schema's: its defaults need no bytes either.
    """
    if sum(map(len, (*references, text))) > SCHEMA_BYTES_MAX:
        raise UnknownSchemaError(f"its schema has more than {SCHEMA_BYTES_MAX} characters")
    rewritten, exact = _Rewriting(finite=False, counted=counted), _Rewriting(finite=True, counted=counted)
    try:
        names: dict[str, Any] = {}
        texts = [json.loads(one) for one in (*references, text)]
        parsed = [fastavro.parse_schema(rewritten.schema(one), named_schemas=names) for one in texts][-1]
        recursive = _Shape(names).check(parsed)
        names = {}
        finite = [fastavro.parse_schema(exact.schema(one), named_schemas=names) for one in texts][-1]
    except RejectedError:
        raise
    except RecursionError:
        raise UnknownSchemaError("its schema is nested too deeply") from None
    except Exception as error:  # of a library, over a text that anybody may have registered
        raise UnknownSchemaError(f"its schema cannot be read as Avro ({type(error).__name__})") from None
    return AvroSchema(parsed, recursive, finite)


class _Rewriting(NamedTuple):
    """finite: numbers are not looked at. counted: every record is."""

    finite: bool
    counted: bool

    def schema(self, schema: Any) -> Any:
        """One schema, and all in it."""
        if isinstance(schema, str):
            plain = schema not in PRIMITIVES or (self.finite and schema in NUMBERS)
            return schema if plain else {"type": schema, "logicalType": PRIMITIVES[schema]}
        if isinstance(schema, list):
            return [self.schema(branch) for branch in schema]
        if not isinstance(schema, dict):
            return schema
        kind = schema.get("type")
        if isinstance(kind, dict | list):
            return self.schema(kind)
        rest = {name: value for name, value in schema.items() if name != "logicalType"}
        if kind in ("record", "error"):
            return self._record(rest)
        if kind == "array":
            return {**rest, "items": self.schema(schema["items"])}
        if kind == "map":
            return {**rest, "values": self.schema(schema["values"])}
        if self.finite and kind in NUMBERS:
            return rest
        usual = "assay-text" if kind == "fixed" else PRIMITIVES.get(str(kind))
        made = LOGICAL.get((str(kind), str(schema.get("logicalType"))), usual)
        return {**rest, "logicalType": made} if made else rest

    def _record(self, record: dict[str, Any]) -> dict[str, Any]:
        empty = sum(_may_need_no_bytes(field["type"]) for field in record["fields"])
        made = {**record, "fields": [self._field(field) for field in record["fields"]]}
        return {**made, "logicalType": "assay-counted"} if self.counted or empty > EMPTY_FIELDS_MAX else made

    def _field(self, field: dict[str, Any]) -> dict[str, Any]:
        made = {**field, "type": self.schema(field["type"])}
        first = made["type"][0] if isinstance(made["type"], list) and made["type"] else made["type"]
        default = field.get("default")
        # a default of bytes is a text of their code points, and no reader of logical types is called for it
        if isinstance(default, str) and isinstance(first, dict) and first.get("type") in ("bytes", "fixed"):
            read = READERS.get(f"{first['type']}-{first.get('logicalType')}")
            made["default"] = read(default.encode("latin-1"), first) if read else default
        return made


WITH_BYTES = {"boolean", "int", "long", "float", "double", "bytes", "string", "array", "map", "enum"}


def _may_need_no_bytes(schema: Any) -> bool:
    """A record, a fixed of no size, null, or a name of one. A union has a byte that says which branch it is."""
    if isinstance(schema, dict):
        return _may_need_no_bytes(schema.get("type"))
    return isinstance(schema, str) and schema not in WITH_BYTES


class _Shape:
    """Walks a parsed schema once."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names
        self._open: list[str] = []
        self._empty: dict[str, bool] = {}
        self._recursive = False

    def check(self, schema: Any) -> bool:
        """Whether it contains itself. Raises UnknownSchemaError."""
        self._may_be_empty(schema)
        return self._recursive

    def _may_be_empty(self, schema: Any) -> bool:
        """Whether a value may have no bytes at all: a list of such needs no bytes for any number of them."""
        if isinstance(schema, list):
            for branch in schema:
                self._may_be_empty(branch)
            return False
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind in ("record", "error"):
            return self._record(schema)
        if kind in self._names:
            return self._named(kind)
        if kind == "array":
            if self._may_be_empty(schema["items"]):
                raise UnknownSchemaError("its schema has a list of values without bytes, which is not read")
        elif kind == "map":
            self._may_be_empty(schema["values"])
        return bool(kind == "null" or (kind == "fixed" and schema["size"] == 0))

    def _named(self, name: str) -> bool:
        if name in self._open:
            self._recursive = True
            return False
        return self._empty[name] if name in self._empty else self._may_be_empty(self._names[name])

    def _record(self, schema: Mapping[str, Any]) -> bool:
        name = schema["name"]
        self._open.append(name)
        empty = [self._may_be_empty(field["type"]) for field in schema["fields"]]
        self._open.pop()
        self._empty[name] = all(empty)
        return all(empty)
