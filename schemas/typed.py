"""Avro and Protobuf schemas of our messages, derived from the pydantic models; `schemas/export.py` writes them down.

A message only ever gains fields, with defaults, so each version reads the ones before. Protobuf's field numbers must never
move: they are taken from the file as it was, and a new field gets the next one.
"""

import json
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from schemas.base import Message

NAMESPACE = "assay"
_MESSAGE = re.compile(r"^message (\w+) \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r" (\w+) = (\d+);$", re.MULTILINE)

AVRO: dict[type[Any], str] = {str: "string", int: "long", float: "double", bool: "boolean"}
PROTOBUF: dict[type[Any], str] = {str: "string", int: "int64", float: "double", bool: "bool"}


def avro_text(schema: type[Message]) -> str:
    """The Avro schema of a message."""
    return json.dumps(_avro_record(schema, set()), indent=2, ensure_ascii=False) + "\n"


def _avro_record(schema: type[Message], defined: set[str]) -> Any:
    if schema.__name__ in defined:
        return f"{NAMESPACE}.{schema.__name__}"
    defined.add(schema.__name__)
    fields = []
    for name, field in schema.model_fields.items():
        made: dict[str, Any] = {"name": name, "doc": field.description or name}
        made["type"] = _avro(field.annotation, defined)
        if not field.is_required():
            made["default"] = _plain(field.default)
        fields.append(made)
    doc = (schema.__doc__ or "").strip().partition("\n")[0]
    return {"type": "record", "name": schema.__name__, "namespace": NAMESPACE, "doc": doc, "fields": fields}


def _avro(annotation: Any, defined: set[str]) -> Any:
    inner, optional = _without_none(annotation)
    if optional:
        return ["null", _avro(inner, defined)]
    if (element := _element(inner)) is not None:
        return {"type": "array", "items": _avro(element, defined)}
    if (value := _mapped(inner)) is not None:
        return {"type": "map", "values": _avro(value, defined)}
    if isinstance(inner, type) and issubclass(inner, Message):
        return _avro_record(inner, defined)
    return AVRO[_scalar(inner)]


def protobuf_text(schema: type[Message], before: str = "") -> str:
    """The .proto file of a message. before: the file as it was, whose field numbers stay."""
    numbers = _numbers(before)
    messages = list(dict.fromkeys(_messages(schema)))
    parts = ['syntax = "proto3";\n', f"package {NAMESPACE};\n"]
    parts += [_protobuf_message(message, numbers.get(message.__name__, {})) for message in messages]
    return "\n".join(parts)


def protobuf_service_text(
    package: str, service: str, calls: Sequence[tuple[str, str, type[Message], type[Message]]], before: str = ""
) -> str:
    """The .proto file of a gRPC service: its calls (name, meaning, request, answer), and their messages. before: as above."""
    numbers = _numbers(before)
    messages = dict.fromkeys(message for call in calls for root in call[2:] for message in _messages(root))
    parts = ['syntax = "proto3";\n', f"package {package};\n"]
    lines = [f"service {service} {{"]
    for name, meaning, request, answer in calls:
        lines += [f"  // {meaning}", f"  rpc {name}({request.__name__}) returns ({answer.__name__});"]
    parts.append("\n".join([*lines, "}\n"]))
    parts += [_protobuf_message(message, numbers.get(message.__name__, {})) for message in messages]
    return "\n".join(parts)


def _numbers(before: str) -> dict[str, dict[str, int]]:
    return {
        found[1]: {name: int(number) for name, number in _FIELD.findall(found[2])}
        for found in _MESSAGE.finditer(before)
    }


def _messages(schema: type[Message]) -> Iterator[type[Message]]:
    """It, and all within it."""
    yield schema
    for field in schema.model_fields.values():
        inner, _ = _without_none(field.annotation)
        inner = _bare(_element(inner) or _mapped(inner) or inner)
        if isinstance(inner, type) and issubclass(inner, Message):
            yield from _messages(inner)


def _protobuf_message(schema: type[Message], numbers: dict[str, int]) -> str:
    lines = [f"// {(schema.__doc__ or '').strip().partition(chr(10))[0]}", f"message {schema.__name__} {{"]
    last = max(numbers.values(), default=0)
    for name, field in schema.model_fields.items():
        number = numbers.get(name)
        if number is None:
            last += 1
            number = last
        lines += [f"  // {field.description or name}", f"  {_protobuf(field.annotation)} {name} = {number};"]
    return "\n".join([*lines, "}\n"])


def _protobuf(annotation: Any) -> str:
    inner, optional = _without_none(annotation)
    if (element := _element(inner)) is not None:
        return f"repeated {_protobuf_one(element)}"  # an absent list is an empty one
    if (value := _mapped(inner)) is not None:
        return f"map<string, {_protobuf_one(value)}>"
    made = _protobuf_one(inner)
    return f"optional {made}" if optional and made in PROTOBUF.values() else made


def _protobuf_one(annotation: Any) -> str:
    inner = _bare(annotation)
    if isinstance(inner, type) and issubclass(inner, Message):
        return inner.__name__
    return PROTOBUF[_scalar(inner)]


def _bare(annotation: Any) -> Any:
    return _bare(get_args(annotation)[0]) if get_origin(annotation) is Annotated else annotation


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """The type, and whether it may be null."""
    annotation = _bare(annotation)
    if get_origin(annotation) not in (Union, UnionType):
        return annotation, False
    kinds = [kind for kind in map(_bare, get_args(annotation)) if kind is not NoneType]
    if len(kinds) == 1:
        return kinds[0], NoneType in get_args(annotation)
    if {_scalar(kind) for kind in kinds} == {int, float}:
        return float, NoneType in get_args(annotation)
    raise TypeError(f"schemas/typed.py does not translate {annotation!r} yet")


def _element(annotation: Any) -> Any:
    """Of a tuple of any length; else None."""
    annotation = _bare(annotation)
    arguments = get_args(annotation)
    return arguments[0] if get_origin(annotation) is tuple and arguments[1:] == (...,) else None


def _mapped(annotation: Any) -> Any:
    """The values' type of a mapping by text; else None."""
    annotation = _bare(annotation)
    return get_args(annotation)[1] if get_origin(annotation) is dict else None


def _scalar(annotation: Any) -> type[Any]:
    """Text, whole number, number or flag. A choice among texts is a text, so that another one may join it."""
    annotation = _bare(annotation)
    if get_origin(annotation) is Literal:
        return str
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return str
    for kind in AVRO:
        if annotation is kind:
            return kind  # type: ignore[no-any-return]
    raise TypeError(f"schemas/typed.py does not translate {annotation!r} yet")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return value.value if isinstance(value, Enum) else value
