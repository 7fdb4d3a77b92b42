"""How much memory a Protobuf record asks for, read from its bytes alone: the library allots every field of every message."""

from google.protobuf.descriptor import Descriptor

from schemas.codec import SchemaError

LAYOUT_BYTES = 16
"""Of each field of a message, whether it is there or not."""

LAYOUT_BYTES_MAX = 64 << 20
"""Of all messages of a record."""

LEVELS_MAX = 100
"""As the library has it."""

VARINT, FIXED_64, BYTES, GROUP, GROUP_END, FIXED_32 = range(6)


class Layout:
    """Of a message and all that lies within it."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._root = descriptor.full_name
        self._inner: dict[str, dict[int, str]] = {}
        self._width: dict[str, int] = {}
        left = [descriptor]
        while left:
            one = left.pop()
            if one.full_name in self._inner:
                continue
            self._width[one.full_name] = len(one.fields)
            self._inner[one.full_name] = {
                field.number: field.message_type.full_name for field in one.fields if field.message_type is not None
            }
            left += [field.message_type for field in one.fields if field.message_type is not None]
        self._widest = max(self._width.values())

    def check(self, payload: bytes) -> None:
        """Raises SchemaError where the record would need more memory than it may."""
        # a message needs two bytes; nearly no record is looked at more closely
        if len(payload) // 2 * self._widest * LAYOUT_BYTES > LAYOUT_BYTES_MAX:
            _Walk(self._inner, self._width, payload).message(self._root, 0, len(payload), 0)


class _Walk:
    """Through one record. What is malformed is left to the library, which refuses it before it allots more."""

    def __init__(self, inner: dict[str, dict[int, str]], width: dict[str, int], payload: bytes) -> None:
        self._inner, self._width, self._payload = inner, width, payload
        self._left = LAYOUT_BYTES_MAX // LAYOUT_BYTES

    def message(self, name: str, at: int, end: int, level: int) -> int:
        """Where it ends: at `end`, or behind the end of its group."""
        self._left -= self._width[name]
        if self._left < 0:
            raise SchemaError("by its schema it holds more fields than a record may")
        inner = self._inner[name]
        while at < end:
            tag, at = self._varint(at, end)
            kind, found = tag & 7, inner.get(tag >> 3)
            if kind == GROUP_END or level > LEVELS_MAX:
                return at
            if kind == VARINT:
                _, at = self._varint(at, end)
            elif kind == BYTES:
                size, at = self._varint(at, end)
                if found is not None:
                    self.message(found, at, min(at + size, end), level + 1)
                at += size
            elif kind == GROUP:
                at = self._group(found, at, end, level + 1)
            else:
                at += 8 if kind == FIXED_64 else 4
        return at

    def _group(self, found: str | None, at: int, end: int, level: int) -> int:
        if found is not None:
            return self.message(found, at, end, level)
        self._inner.setdefault("", {})
        self._width.setdefault("", 0)
        return self.message("", at, end, level)

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end:
            byte = self._payload[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 or shift > 63:
                return value, at
        return 0, end
