"""The OpenAPI 3.1 document: the event's schema comes from the bundle's source spec."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from schemas.located import Located
from schemas.paths import parts
from schemas.source_spec import SourceSpec

EVENT = "Event"
REFERENCE = {"$ref": f"#/components/schemas/{EVENT}"}
EVENT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"oneOf": [REFERENCE, {"type": "array", "items": REFERENCE, "minItems": 1}]}}
        },
    }
}
TYPES = {"any": ["string", "number"], "string": "string", "number": "number", "boolean": "boolean"}


def describe(app: FastAPI, source: SourceSpec, events_max: int) -> None:
    """Have the application's document name the event's fields."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas[EVENT] = event_schema(source)
            body = made["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]["schema"]
            body["oneOf"][1] = {**body["oneOf"][1], "maxItems": events_max}
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def event_schema(source: SourceSpec) -> dict[str, Any]:
    """JSON Schema of one event: what the source spec reads; more fields may be there. The parser is stricter."""
    root: dict[str, Any] = {"description": f"One event of {source.topic}, as its source spec reads it."}
    required_of_event = {"id", "time", "subject", "amount"}
    for name, field in source.event:
        needed = name in required_of_event or bool(getattr(field, "required", False))
        for path in field.paths if isinstance(field, Located) else filter(None, [getattr(field, "path", None)]):
            _put(root, path, _leaf(field, f"The event's {name}."), needed)
    for name, attribute in source.attributes.items():
        for path in attribute.paths:
            _put(root, path, _leaf(attribute, attribute.description or name), attribute.required)
    return root


def _leaf(field: Any, description: str) -> dict[str, Any]:
    kind: Any = TYPES[getattr(field, "written", "any")]
    return {"type": kind, "description": description}


def _put(root: dict[str, Any], path: str, leaf: dict[str, Any], needed: bool) -> None:
    """Make room for a value at its path. A list's items have one schema, whichever of them the path names."""
    at = root
    for part in parts(path):
        if isinstance(part, int):
            at["type"] = "array"
            at = at.setdefault("items", {})
            continue
        at["type"] = "object"
        if needed and part not in at.setdefault("required", []):
            at["required"].append(part)
        at = at.setdefault("properties", {}).setdefault(part, {})
    at.update(leaf)
