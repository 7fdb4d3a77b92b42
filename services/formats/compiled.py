"""Schemas by their id, compiled once. An id never means another schema: what was found is kept, what was not is asked again."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from schemas.codec import UnknownSchemaError
from services.clock import monotonic_s
from services.formats.framing import SchemaId
from services.formats.schema_registry import RegisteredSchema, SchemaRegistry

C = TypeVar("C")

SCHEMAS_MAX = 10_000
LOOK_UPS_MAX = 8
UNKNOWN_S = 30.0
"""So long an id that the registry does not have is not asked for again."""


class CompiledSchemas(Generic[C]):
    """One format's schemas, shared by all partitions. compile: raises UnknownSchemaError."""

    def __init__(self, registry: SchemaRegistry, kind: str, compile: Callable[[RegisteredSchema], C]) -> None:  # noqa: A002
        self._registry, self._kind, self._compile = registry, kind, compile
        self._found: OrderedDict[SchemaId, C | str] = OrderedDict()
        """A schema, or why it cannot be used."""
        self._ask_again_s: dict[SchemaId, float] = {}

    def missing(self, ids: set[SchemaId]) -> set[SchemaId]:
        """Those of the ids that are to be looked up. The others are kept longest."""
        for known in ids & self._found.keys():
            self._found.move_to_end(known)
        now_s = monotonic_s()
        return {one for one in ids if one not in self._found or self._ask_again_s.get(one, now_s + 1) <= now_s}

    async def look_up(self, missing: set[SchemaId]) -> None:
        """Look these up; waits for the registry."""
        at_once = asyncio.Semaphore(LOOK_UPS_MAX)

        async def one(schema_id: SchemaId) -> None:
            async with at_once:
                try:
                    await self._take(schema_id, await self._registry.schema(schema_id))
                except UnknownSchemaError as error:
                    self._found[schema_id] = f"schema {schema_id}: {error}"

        async with asyncio.TaskGroup() as group:
            for schema_id in missing:
                group.create_task(one(schema_id))
        while len(self._found) > max(SCHEMAS_MAX, 2 * len(missing)):
            forgotten, _ = self._found.popitem(last=False)
            self._ask_again_s.pop(forgotten, None)

    def get(self, schema_id: SchemaId) -> C:
        """The schema of an id that was looked up. Raises UnknownSchemaError."""
        found = self._found[schema_id]
        if isinstance(found, str):
            raise UnknownSchemaError(found)
        return found

    async def _take(self, schema_id: SchemaId, schema: RegisteredSchema | None) -> None:
        self._ask_again_s.pop(schema_id, None)
        if schema is None:
            self._ask_again_s[schema_id] = monotonic_s() + UNKNOWN_S
            self._found[schema_id] = f"the registry has no schema {schema_id}"
        elif schema.kind != self._kind:
            self._found[schema_id] = f"schema {schema_id} is {schema.kind}, and the source spec says {self._kind}"
        else:
            # a large one takes seconds, in which the process must not leave its group
            self._found[schema_id] = await asyncio.to_thread(self._compile, schema)
