"""The OpenAPI 3.1 document: every route's possible errors as problem documents, with a real example of each."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from vidintel.domain.errors import AuthenticationError, AuthorizationError, DomainError
from vidintel.presentation.http.errors import (
    INTERNAL_CODE,
    INTERNAL_DETAIL,
    PROBLEM_MEDIA_TYPE,
    FieldError,
    RequestInvalid,
    field_errors_of,
    problem_body,
    status_of,
)

DESCRIPTION = """
Turns video into answers. Upload a video; it is stored, decoded and looked at by an object detector; then ask what was
seen, and when.

* **Who you are**: a session token, `Authorization: Bearer …`. What belongs to another organisation does not exist.
* **Time** is seconds on the timeline that a player shows; **boxes** are normalised 0..1 in the displayed picture.
* **Lists** are pages: send `next_cursor` back as `cursor` until it is null.
* **Errors** are problem documents (RFC 9457) with a stable `code`, and a `correlation_id` that is also the
  `X-Request-ID` header. 422 is a request that does not fit its schema (`request_invalid`, each field named in
  `errors`; a query parameter that is unknown or given twice is one), or that asks for what cannot be done: an unknown
  model, a video that cannot be read. 400 is one that fits,
  with a value that cannot be meant: a line of no length, a cursor that was not made here. 409 is a conflict with what
  is there or with its state. 503 passes: try again after `Retry-After` seconds.
"""

TAGS = [
    {"name": "videos", "description": "Send, read, edit and delete videos."},
    {"name": "jobs", "description": "Analyses of videos: watch, cancel, retry, ask for another."},
    {"name": "answers", "description": "What was seen and when."},
    {"name": "models", "description": "What can be run."},
    {"name": "identity", "description": "Who you are and what you may do."},
    {"name": "health", "description": "For load balancers and people on call."},
]

_EXAMPLE_CORRELATION = "7d1a8c5e0f4b4f5c9f6f1f0e6a2b3c4d"
_PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "correlation_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "`urn:vidintel:error:` and the code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable: what programs should look at."},
        "detail": {"type": "string", "description": "What happened and what to do, for people."},
        "correlation_id": {"type": "string", "description": "As in the X-Request-ID header."},
        "errors": {
            "type": "array",
            "description": "The fields that are wrong.",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
_ALWAYS = (
    AuthenticationError("The session token is not valid, or has expired. Sign in again."),
    AuthorizationError("Role 'viewer' lacks the permission 'video:create'. Ask an admin of your organisation."),
    RequestInvalid([FieldError("limit", "Input should be less than or equal to 100")]),
)


def problems(*errors: DomainError) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that can fail with ``errors`` (examples), besides what every route can fail with."""
    examples: dict[int, dict[str, Any]] = defaultdict(dict)
    for error in (*_ALWAYS, *errors):
        status = status_of(error)
        examples[status][error.code] = _example(status, error.code, error.detail, field_errors_of(error))
    examples[500][INTERNAL_CODE] = _example(500, INTERNAL_CODE, INTERNAL_DETAIL, ())
    return {status: _response(examples[status]) for status in sorted(examples)}


def _example(status: int, code: str, detail: str, errors: Sequence[FieldError]) -> dict[str, Any]:
    return {"value": problem_body(status, code, detail, _EXAMPLE_CORRELATION, errors)}


def _response(examples: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": " · ".join(f"`{code}`" for code in examples),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }


def document_of(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """`FastAPI.openapi` with the problem schema added; made once, when first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                tags=TAGS,
                license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
            )
            made["components"]["schemas"]["Problem"] = _PROBLEM_SCHEMA
            app.openapi_schema = made
        return app.openapi_schema

    return document
