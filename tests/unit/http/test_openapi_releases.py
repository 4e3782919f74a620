"""A client of the last release can go on as it is: the API only grows."""

import copy
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from scripts.openapi import FOLDER, document
from tests.support.openapi_changes import breaking_changes

Change = Callable[[dict[str, Any]], Any]


def numbers(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in release.split("."))


def last_release() -> Path:
    return max(FOLDER.glob("*.json"), key=lambda path: numbers(path.stem))


def test_nothing_of_the_last_release_is_missing() -> None:
    assert breaking_changes(json.loads(last_release().read_text()), document()) == []


def test_no_release_is_newer_than_this_version() -> None:
    assert numbers(last_release().stem) <= numbers(version("vidintel"))


def small() -> dict[str, Any]:
    """A document with one operation of each kind."""
    video = {
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": {"type": "string"},
            "duration_s": {"type": "number"},
            "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Video"}},
        },
    }
    new_video = {
        "type": "object",
        "required": ["title"],
        "properties": {
            "title": {"type": "string"},
            "fps": {"anyOf": [{"type": "number"}, {"const": "native", "type": "string"}]},
            "kind": {"enum": ["clip", "film"], "type": "string"},
        },
    }
    answer = {"description": "", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Video"}}}}
    parameter = {"in": "query", "name": "limit", "required": False, "schema": {"type": "integer"}}
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewVideo"}}}}
    return {
        "paths": {
            "/videos": {
                "get": {"parameters": [parameter], "responses": {"200": answer, "404": {"description": ""}}},
                "post": {"requestBody": body, "responses": {"202": answer}},
            }
        },
        "components": {"schemas": {"Video": video, "NewVideo": new_video}},
    }


def get(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["paths"]["/videos"]["get"]
    return found


def schema(made: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = made["components"]["schemas"][name]
    return found


def properties(made: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema(made, name)["properties"]
    return found


BREAKING: dict[str, Change] = {
    "GET /videos is gone": lambda made: made["paths"]["/videos"].pop("get"),
    "GET /videos: query parameter 'limit' is gone": lambda made: get(made)["parameters"].clear(),
    "GET /videos: query parameter 'limit' is required now": lambda made: get(made)["parameters"][0].update(
        required=True
    ),
    "GET /videos: query parameter 'page' is new and required": lambda made: get(made)["parameters"].append(
        {"in": "query", "name": "page", "required": True, "schema": {"type": "integer"}}
    ),
    "GET /videos: query parameter 'limit' takes no integer any more": lambda made: get(made)["parameters"][0].update(
        schema={"type": "boolean"}
    ),
    "GET /videos: status 404 is gone": lambda made: get(made)["responses"].pop("404"),
    "GET /videos: 200 has no application/json any more": lambda made: get(made)["responses"]["200"].pop("content"),
    "GET /videos: 200.duration_s is gone": lambda made: properties(made, "Video").pop("duration_s"),
    "GET /videos: 200.id may be missing now": lambda made: schema(made, "Video")["required"].clear(),
    "GET /videos: 200.duration_s may be null now": lambda made: properties(made, "Video").update(
        duration_s={"anyOf": [{"type": "number"}, {"type": "null"}]}
    ),
    "POST /videos: application/json is not accepted any more": lambda made: made["paths"]["/videos"]["post"].pop(
        "requestBody"
    ),
    "POST /videos: application/json.title is gone": lambda made: properties(made, "NewVideo").pop("title"),
    "POST /videos: application/json.fps is required now": lambda made: schema(made, "NewVideo")["required"].append(
        "fps"
    ),
    "POST /videos: application/json.fps takes no string any more": lambda made: properties(made, "NewVideo").update(
        fps={"type": "number"}
    ),
    "POST /videos: application/json.kind takes fewer values": lambda made: properties(made, "NewVideo").update(
        kind={"const": "clip", "type": "string"}
    ),
    "POST /videos: application/json.owner is new and required": lambda made: (
        properties(made, "NewVideo").update(owner={"type": "string"}),
        schema(made, "NewVideo")["required"].append("owner"),
    ),
}

HARMLESS: dict[str, Change] = {
    "a path": lambda made: made["paths"].update({"/models": {"get": {"responses": {}}}}),
    "a method": lambda made: made["paths"]["/videos"].update(head={"responses": {}}),
    "an optional parameter": lambda made: get(made)["parameters"].append(
        {"in": "query", "name": "page", "required": False, "schema": {"type": "integer"}}
    ),
    "a status": lambda made: get(made)["responses"].update({"503": {"description": ""}}),
    "a property of a response": lambda made: properties(made, "Video").update(title={"type": "string"}),
    "a narrower number in a response": lambda made: properties(made, "Video").update(duration_s={"type": "integer"}),
    "another value that is accepted": lambda made: properties(made, "NewVideo")["kind"]["enum"].append("stream"),
    "an optional object with a required property": lambda made: properties(made, "NewVideo").update(
        place={"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}}}
    ),
}


@pytest.mark.parametrize("change", BREAKING)
def test_what_a_client_would_notice_is_reported(change: str) -> None:
    changed = copy.deepcopy(small())
    BREAKING[change](changed)
    assert change in breaking_changes(small(), changed)


@pytest.mark.parametrize("addition", HARMLESS)
def test_an_addition_is_not(addition: str) -> None:
    changed = copy.deepcopy(small())
    HARMLESS[addition](changed)
    assert breaking_changes(small(), changed) == []
