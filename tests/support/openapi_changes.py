"""What a client of one OpenAPI document may miss in a later one.

Additions are fine: paths, methods, statuses, optional parameters, properties of responses, values in responses.
Reported is what was removed, what makes a request fail that was good before, and what a response no longer promises.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_ANY = "anything"


@dataclass
class _Place:
    """A value in a body or parameter: its types, the values that it may have (``None``: any), and whether it is needed.

    ``parent`` is the place of the object that has it.
    """

    parent: str
    types: set[str]
    values: set[str] | None
    required: bool


Places = dict[str, _Place]


@dataclass(frozen=True)
class _Operation:
    """An operation, and the document in which its references lead somewhere."""

    document: Document
    raw: dict[str, Any]

    def parameters(self) -> dict[str, dict[str, Any]]:
        resolved = [_resolved(self.document, each) for each in self.raw.get("parameters", ())]
        return {f"{each['in']} parameter '{each['name']}'": each for each in resolved}

    def places(self, schema: dict[str, Any]) -> Places:
        places: Places = {}
        _collect(self.document, schema, "", places, parent="", required=False, seen=())
        return places

    def bodies(self, holder: dict[str, Any]) -> dict[str, Places]:
        content = _resolved(self.document, holder).get("content", {})
        return {kind: self.places(media.get("schema", {})) for kind, media in content.items()}


def breaking_changes(old: Document, new: Document) -> list[str]:
    """One line for each change from ``old`` to ``new`` that a client of ``old`` may notice."""
    return list(_changes(old, new))


def _changes(old: Document, new: Document) -> Iterator[str]:
    for path, item in old["paths"].items():
        for method in (method for method in _METHODS if method in item):
            where = f"{method.upper()} {path}"
            later = new["paths"].get(path, {}).get(method)
            if later is None:
                yield f"{where} is gone"
                continue
            before, after = _Operation(old, item[method]), _Operation(new, later)
            yield from _parameters(where, before, after)
            yield from _request(where, before, after)
            yield from _responses(where, before, after)


def _parameters(where: str, old: _Operation, new: _Operation) -> Iterator[str]:
    before, after = old.parameters(), new.parameters()
    for name, parameter in before.items():
        if name not in after:
            yield f"{where}: {name} is gone"
            continue
        if after[name].get("required") and not parameter.get("required"):
            yield f"{where}: {name} is required now"
        yield from _accepts(f"{where}: {name}", old.places(parameter["schema"]), new.places(after[name]["schema"]))
    for name in sorted(after.keys() - before.keys()):
        if after[name].get("required"):
            yield f"{where}: {name} is new and required"


def _request(where: str, old: _Operation, new: _Operation) -> Iterator[str]:
    before, after = old.raw.get("requestBody", {}), new.raw.get("requestBody", {})
    if after.get("required") and not before.get("required"):
        yield f"{where}: a body is required now"
    accepted = new.bodies(after)
    for kind, places in old.bodies(before).items():
        if kind in accepted:
            yield from _accepts(f"{where}: {kind}", places, accepted[kind])
        else:
            yield f"{where}: {kind} is not accepted any more"


def _responses(where: str, old: _Operation, new: _Operation) -> Iterator[str]:
    for status, response in old.raw["responses"].items():
        later = new.raw["responses"].get(status)
        if later is None:
            yield f"{where}: status {status} is gone"
            continue
        shown = new.bodies(later)
        for kind, places in old.bodies(response).items():
            if kind in shown:
                yield from _shows(f"{where}: {status}", places, shown[kind])
            else:
                yield f"{where}: {status} has no {kind} any more"


def _accepts(where: str, old: Places, new: Places) -> Iterator[str]:
    """Whatever could be sent can still be sent."""
    for name, place in old.items():
        later = new.get(name)
        if later is None:
            yield f"{where}{name} is gone"
            continue
        if refused := place.types - _with_narrower(later.types):
            yield f"{where}{name} takes no {', '.join(sorted(refused))} any more"
        if later.values is not None and (place.values is None or place.values - later.values):
            yield f"{where}{name} takes fewer values"
        if later.required and not place.required:
            yield f"{where}{name} is required now"
    for name, place in new.items():
        if name not in old and place.required and place.parent in old:
            yield f"{where}{name} is new and required"


def _shows(where: str, old: Places, new: Places) -> Iterator[str]:
    """Whatever could be read can still be read."""
    for name, place in old.items():
        later = new.get(name)
        if later is None:
            yield f"{where}{name} is gone"
            continue
        if strange := later.types - _with_narrower(place.types):
            yield f"{where}{name} may be {', '.join(sorted(strange))} now"
        if place.required and not later.required:
            yield f"{where}{name} may be missing now"


def _with_narrower(types: set[str]) -> set[str]:
    if _ANY in types:
        return types | {"object", "array", "string", "number", "integer", "boolean", "null"}
    return types | {"integer"} if "number" in types else types


def _collect(
    document: Document,
    schema: dict[str, Any],
    name: str,
    places: Places,
    *,
    parent: str,
    required: bool,
    seen: tuple[str, ...],
) -> None:
    reference = schema.get("$ref")
    if reference in seen:
        return
    if reference is not None:
        seen = (*seen, reference)
        schema = _resolved(document, schema)
    alternatives = [each for key in ("anyOf", "oneOf", "allOf") for each in schema.get(key, ())]
    for alternative in alternatives:
        _collect(document, alternative, name, places, parent=parent, required=required, seen=seen)
    if not alternatives:
        _note(places, name, _Place(parent, _types(schema), _values(schema), required))
    for key, value in schema.get("properties", {}).items():
        needed = key in schema.get("required", ())
        _collect(document, value, f"{name}.{key}", places, parent=name, required=needed, seen=seen)
    for key, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(schema.get(key), dict):
            _collect(document, schema[key], f"{name}{suffix}", places, parent=name, required=False, seen=seen)


def _note(places: Places, name: str, place: _Place) -> None:
    known = places.get(name)
    if known is None:
        places[name] = place
        return
    known.types |= place.types
    known.values = None if known.values is None or place.values is None else known.values | place.values
    known.required = known.required and place.required


def _types(schema: dict[str, Any]) -> set[str]:
    named = schema.get("type", _ANY)
    return set(named) if isinstance(named, list) else {named}


def _values(schema: dict[str, Any]) -> set[str] | None:
    if schema.get("type") == "null":
        return {"null"}
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if values is None else {json.dumps(value) for value in values}


def _resolved(document: Document, value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        found: Any = document
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        value = found
    return value
