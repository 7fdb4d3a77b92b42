"""Protobuf schemas as text, compiled to descriptors here: a registry answers with text, and protoc is no library."""

from collections.abc import Iterable, Sequence
from typing import Any

from antlr4 import Lexer
from antlr4 import Parser as Grammar
from antlr4.error.ErrorListener import ErrorListener
from google.protobuf import (
    any_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from proto_schema_parser import ast
from proto_schema_parser.parser import Parser

from schemas.codec import RejectedError, UnknownSchemaError
from services.formats.protobuf_documents import Message

SCHEMA_BYTES_MAX = 256 << 10
"""With all that it imports. The grammar takes seconds for that much, in which a process does nothing else."""

ROOT = "assay-root.proto"
"""Name of the schema itself among its files."""

KNOWN = {
    module.DESCRIPTOR.name: module.DESCRIPTOR
    for module in (any_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
}
"""Files that every Protobuf has."""

CONFLUENT = {
    "confluent/type/decimal.proto": 'syntax = "proto3"; package confluent.type; '
    "message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }",
    "confluent/meta.proto": 'syntax = "proto3"; package confluent; message Meta { string doc = 1; '
    "map<string, string> params = 2; repeated string tags = 3; }",
}
"""Files that Confluent's registry has, without a reference to them."""

SCALARS = "double float int32 int64 uint32 uint64 sint32 sint64 fixed32 fixed64 sfixed32 sfixed64 bool string bytes"
TYPES = {name: getattr(FieldDescriptorProto, f"TYPE_{name.upper()}") for name in SCALARS.split()}
LABELS: dict[ast.FieldCardinality | None, Any] = {
    ast.FieldCardinality.REQUIRED: FieldDescriptorProto.LABEL_REQUIRED,
    ast.FieldCardinality.REPEATED: FieldDescriptorProto.LABEL_REPEATED,
}
MAP_KEYS = frozenset(TYPES) - {"double", "float", "bytes"}


class _Strict(ErrorListener):  # type: ignore[misc]  # the library is untyped
    """Without it a mistake in a schema is printed, and passed over."""

    def syntaxError(self, recognizer: Any, symbol: Any, line: int, *_: Any) -> None:  # noqa: N802  (the library's name)
        """Raise UnknownSchemaError."""
        raise UnknownSchemaError(f"its schema is not a .proto file, in line {line}")


def _strictly(recognizer: Lexer | Grammar) -> None:
    recognizer.removeErrorListeners()
    recognizer.addErrorListener(_Strict())


class ProtobufSchema:
    """A compiled schema. Messages are made as they are asked for."""

    def __init__(self, pool: DescriptorPool, root: FileDescriptorProto) -> None:
        self.pool, self._root = pool, root
        self._messages: dict[str, Message] = {}

    def at(self, indexes: Sequence[int]) -> Message:
        """The message at a place: an index at each level. Raises UnknownSchemaError."""
        names: list[str] = [self._root.package] if self._root.package else []
        inside: Any = self._root.message_type
        for index in indexes:
            if not 0 <= index < len(inside):
                raise UnknownSchemaError("its schema has no message at the place that the record names")
            names.append(inside[index].name)
            inside = inside[index].nested_type
        return self._message(".".join(names))

    def first(self) -> Message:
        """The first message. Raises UnknownSchemaError."""
        return self.at((0,))

    def named(self, name: str | None) -> Message:
        """The message of a full name, or the only one. Raises UnknownSchemaError."""
        found = [".".join(filter(None, (self._root.package, message.name))) for message in self._root.message_type]
        if name is None and len(found) != 1:
            raise UnknownSchemaError(f"it has {len(found)} messages ({', '.join(found[:5])}); name one with `message`")
        try:
            return self._message(found[0] if name is None else name)
        except KeyError:
            raise UnknownSchemaError(f"it has no message {name}, but {', '.join(found[:5])}") from None

    def _message(self, name: str) -> Message:
        if name not in self._messages:
            self._messages[name] = Message(self.pool.FindMessageTypeByName(name))
        return self._messages[name]


def parse(text: str, references: Sequence[tuple[str, str]] = ()) -> ProtobufSchema:
    """The schema in `text`. references: name and text of what it imports, each behind its own. Raises UnknownSchemaError."""
    if len(text) + sum(len(inner) for _, inner in references) > SCHEMA_BYTES_MAX:
        raise UnknownSchemaError(f"its schema has more than {SCHEMA_BYTES_MAX} characters")
    pool = DescriptorPool()
    texts = {**CONFLUENT, **dict(references)}
    try:
        root = _file(ROOT, text)
        for name in _needed(root.dependency, texts):
            _add(pool, name, texts)
        pool.AddSerializedFile(root.SerializeToString())
    except RejectedError:
        raise
    except RecursionError:
        raise UnknownSchemaError("its schema is nested too deeply") from None
    except Exception as error:  # of libraries, over a text that anybody may have registered
        raise UnknownSchemaError(f"its schema cannot be read as Protobuf ({type(error).__name__})") from None
    return ProtobufSchema(pool, root)


def _needed(imports: Iterable[str], texts: dict[str, str], seen: set[str] | None = None) -> Iterable[str]:
    """Files to add, each behind what it imports itself."""
    seen = set() if seen is None else seen
    for name in imports:
        if name in seen:
            continue
        seen.add(name)
        if name in KNOWN:
            yield from _needed([inner.name for inner in KNOWN[name].dependencies], texts, seen)
        elif name in texts:
            yield from _needed(_file(name, texts[name]).dependency, texts, seen)
        else:
            raise UnknownSchemaError(f"its schema imports {name[:100]!r}, which is neither given nor a reference of it")
        yield name


def _add(pool: DescriptorPool, name: str, texts: dict[str, str]) -> None:
    made = KNOWN[name].serialized_pb if name in KNOWN else _file(name, texts[name]).SerializeToString()
    pool.AddSerializedFile(made)


def _file(name: str, text: str) -> FileDescriptorProto:
    parsed = Parser(setup_lexer=_strictly, setup_parser=_strictly).parse(text)
    if parsed.edition is not None:
        raise UnknownSchemaError("its schema is in an edition of Protobuf; proto2 and proto3 are read")
    syntax = (parsed.syntax or "proto2").strip("\"'")
    made = FileDescriptorProto(name=name)
    if syntax != "proto2":
        made.syntax = syntax
    for element in parsed.file_elements:
        match element:
            case ast.Package():
                made.package = element.name
            case ast.Import():
                if element.public:
                    made.public_dependency.append(len(made.dependency))
                made.dependency.append(element.name)
            case ast.Message():
                _message(made.message_type.add(), element, proto3=syntax == "proto3")
            case ast.Enum():
                _enum(made.enum_type.add(), element)
            case ast.Service():
                _service(made.service.add(), element)
    return made


def _service(made: ServiceDescriptorProto, service: ast.Service) -> None:
    made.name = service.name
    for element in service.elements:
        if isinstance(element, ast.Method):
            method = made.method.add(name=element.name)
            method.input_type, method.output_type = element.input_type.type, element.output_type.type
            method.client_streaming, method.server_streaming = element.input_type.stream, element.output_type.stream


def _message(made: DescriptorProto, message: ast.Message | ast.Group, *, proto3: bool) -> None:
    made.name = message.name
    for element in message.elements:
        match element:
            case ast.Field():
                field = _field(made.field.add(), element)
                if proto3 and element.cardinality is ast.FieldCardinality.OPTIONAL:
                    field.proto3_optional = True
            case ast.MapField():
                _map(made, element)
            case ast.OneOf():
                made.oneof_decl.add().name = element.name
                for inner in element.elements:
                    if isinstance(inner, ast.Field):
                        _field(made.field.add(), inner).oneof_index = len(made.oneof_decl) - 1
            case ast.Message():
                _message(made.nested_type.add(), element, proto3=proto3)
            case ast.Enum():
                _enum(made.enum_type.add(), element)
            case ast.Group():
                _message(made.nested_type.add(), element, proto3=proto3)
                field = made.field.add(name=element.name.lower(), number=element.number, type_name=element.name)
                field.type = FieldDescriptorProto.TYPE_GROUP
                field.label = LABELS.get(element.cardinality, FieldDescriptorProto.LABEL_OPTIONAL)
    for field in made.field:  # a real oneof comes before those that only say that a field may be absent
        if field.proto3_optional:
            made.oneof_decl.add().name = f"_{field.name}"
            field.oneof_index = len(made.oneof_decl) - 1


def _field(made: FieldDescriptorProto, field: ast.Field) -> FieldDescriptorProto:
    made.name, made.number = field.name, field.number
    made.label = LABELS.get(field.cardinality, FieldDescriptorProto.LABEL_OPTIONAL)
    _typed(made, field.type)
    for option in field.options:
        if option.name == "packed":
            made.options.packed = str(getattr(option.value, "name", option.value)).lower() == "true"
        elif option.name == "default":
            value = getattr(option.value, "name", option.value)
            made.default_value = str(value).lower() if isinstance(value, bool) else str(value)
    return made


def _typed(made: FieldDescriptorProto, name: str) -> None:
    """A scalar's type; a name of a message or an enum is left to the pool, which knows its scopes."""
    if name in TYPES:
        made.type = TYPES[name]
    else:
        made.type_name = name


def _map(message: DescriptorProto, field: ast.MapField) -> None:
    if field.key_type not in MAP_KEYS:
        raise UnknownSchemaError("its schema has a map whose keys are neither whole numbers, texts nor flags")
    name = "".join(part[:1].upper() + part[1:] for part in field.name.split("_")) + "Entry"
    entry = message.nested_type.add(name=name)
    entry.options.map_entry = True
    key = entry.field.add(name="key", number=1, label=FieldDescriptorProto.LABEL_OPTIONAL)
    value = entry.field.add(name="value", number=2, label=FieldDescriptorProto.LABEL_OPTIONAL)
    _typed(key, field.key_type)
    _typed(value, field.value_type)
    message.field.add(name=field.name, number=field.number, label=FieldDescriptorProto.LABEL_REPEATED, type_name=name)


def _enum(made: EnumDescriptorProto, enum: ast.Enum) -> None:
    made.name = enum.name
    for element in enum.elements:
        match element:
            case ast.EnumValue():
                made.value.add(name=element.name, number=element.number)
            case ast.Option(name="allow_alias"):
                made.options.allow_alias = True
