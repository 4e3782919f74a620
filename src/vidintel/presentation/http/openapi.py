"""The OpenAPI 3.1 document: every route's possible errors as problem documents, with a real example of each."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from vidintel.domain.errors import (
    AuthenticationError,
    AuthorizationError,
    DomainError,
    PayloadTooLarge,
    ValidationError,
)
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
Upload a video. The server stores it and runs an object detector and a tracker on it. Then ask which objects are in the
video, and when.

* **Authentication**: send a session token as `Authorization: Bearer …`. Data of other organisations is answered as not
  found.
* **Time** is in seconds on the timeline that a player shows. **Boxes** are normalised to 0..1 in the displayed picture.
* **Lists** come in pages: send `next_cursor` as `cursor` until it is null.
* **Requests**: `HEAD` works wherever `GET` does. Bodies have a size limit (413).
* **Errors** are problem documents (RFC 9457) with a stable `code`, and a `correlation_id` that is also the
  `X-Request-ID` header:
  * 400: a value breaks a rule, such as a line of length zero or an invalid cursor.
  * 409: the request conflicts with existing data or its state.
  * 422 `request_invalid`: the request does not match its schema. `errors` names each field. A query parameter that is
    unknown or given twice is an error too.
  * 422 with another code: the request cannot be carried out, for example because the model is unknown or the video
    cannot be decoded.
  * 503: temporarily unavailable. Try again after `Retry-After` seconds.
"""

TAGS = [
    {"name": "videos", "description": "Upload, read, edit and delete videos."},
    {"name": "jobs", "description": "Analyses of videos: read, cancel, retry, request another."},
    {"name": "answers", "description": "The results of analyses: detections, tracks, counts, pictures."},
    {"name": "models", "description": "The available models."},
    {"name": "identity", "description": "The caller and its permissions."},
    {"name": "health", "description": "Liveness and readiness, for load balancers and operators."},
]

INVALID_CURSOR = ValidationError(
    "The cursor is not valid. Use next_cursor of the previous page unchanged.", field="cursor"
)
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
        "code": {"type": "string", "description": "A stable code for programs."},
        "detail": {"type": "string", "description": "What happened and what to do, for people."},
        "correlation_id": {"type": "string", "description": "As in the X-Request-ID header."},
        "errors": {
            "type": "array",
            "description": "The fields with an error.",
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
    PayloadTooLarge(1024**2, "request body"),
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
