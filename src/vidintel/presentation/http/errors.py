"""Errors as clients see them: one table from error type to status, RFC 9457 ``application/problem+json`` bodies."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from vidintel.domain.errors import (
    AuthenticationError,
    AuthorizationError,
    BusinessRuleViolation,
    ConflictError,
    DomainError,
    ExternalServiceError,
    NotFoundError,
    PayloadTooLarge,
    RateLimited,
    ServiceUnavailable,
    UnsupportedMedia,
    ValidationError,
)
from vidintel.presentation.http.correlation import correlation_id

PROBLEM_MEDIA_TYPE = "application/problem+json"
INTERNAL_CODE = "internal_error"
INTERNAL_DETAIL = "The server failed unexpectedly. Please report this with the correlation id."


@dataclass(frozen=True, slots=True)
class FieldError:
    """The error of one field of a request. The value that was sent is never repeated."""

    field: str
    detail: str


class RequestInvalid(ValidationError):
    """The request does not match its schema: 422. A value that breaks a rule of the domain is 400."""

    code = "request_invalid"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("The request does not match its schema. See `errors`.")
        self.errors = tuple(errors)


class MalformedForm(ValidationError):
    """The body is not a multipart form."""

    code = "malformed_form"


STATUS: Mapping[type[DomainError], HTTPStatus] = {
    RequestInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    ValidationError: HTTPStatus.BAD_REQUEST,
    AuthenticationError: HTTPStatus.UNAUTHORIZED,
    AuthorizationError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    PayloadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    BusinessRuleViolation: HTTPStatus.UNPROCESSABLE_ENTITY,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    ExternalServiceError: HTTPStatus.BAD_GATEWAY,
    ServiceUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

# Errors of the framework itself, by status.
_FRAMEWORK_CODES: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "The request could not be read."),
    404: ("route_not_found", "This address does not exist. /docs lists all addresses."),
    405: ("method_not_allowed", "This address does not support this method. The Allow header lists those it supports."),
    416: ("range_not_satisfiable", "The range begins after the end of the file. Content-Range contains its size."),
}


def status_of(error: DomainError) -> int:
    """The HTTP status of ``error``: that of the nearest ancestor in the table."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def problem_body(status: int, code: str, detail: str, correlation: str, errors: Sequence[FieldError]) -> dict[str, Any]:
    """The members of a problem document (RFC 9457, 3.1), and our ``code``, ``correlation_id`` and ``errors``."""
    body: dict[str, Any] = {
        "type": f"urn:vidintel:error:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": int(status),
        "code": code,
        "detail": detail,
        "correlation_id": correlation,
    }
    if errors:
        body["errors"] = [asdict(error) for error in errors]
    return body


def field_errors_of(error: DomainError) -> tuple[FieldError, ...]:
    if isinstance(error, RequestInvalid):
        return error.errors
    if isinstance(error, ValidationError) and error.field is not None:
        return (FieldError(error.field, error.detail),)
    return ()


class Problem(Response):
    """A problem document. The correlation id, which belongs to the request, is filled in when it is sent."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status_code=status)
        self._code, self._detail, self._errors, self._fixed_headers = code, detail, errors, dict(headers or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(self._fixed_headers)
        if self.status_code == HTTPStatus.UNAUTHORIZED:
            # RFC 6750, 3: only a request that carried credentials is told that they are invalid.
            invalid = ', error="invalid_token"' if "authorization" in Headers(scope=scope) else ""
            headers["WWW-Authenticate"] = f'Bearer realm="vidintel"{invalid}'
        body = problem_body(self.status_code, self._code, self._detail, correlation_id(scope), self._errors)
        response = JSONResponse(body, status_code=self.status_code, headers=headers, media_type=PROBLEM_MEDIA_TYPE)
        await response(scope, receive, send)


def problem(error: DomainError) -> Problem:
    headers = {}
    if isinstance(error, RateLimited | ServiceUnavailable):
        headers["Retry-After"] = str(max(1, ceil(error.retry_after_s)))
    return Problem(status_of(error), error.code, error.detail, errors=field_errors_of(error), headers=headers)


def schema_problem(error: RequestValidationError) -> Problem:
    """A request that does not match its schema: which fields, and what was expected of them."""
    return problem(RequestInvalid([_field_error(item) for item in error.errors()]))


def framework_problem(error: HTTPException) -> Problem:
    code, detail = _FRAMEWORK_CODES.get(error.status_code, ("request_refused", "The request was refused."))
    return Problem(error.status_code, code, detail, headers=error.headers)


def internal_problem() -> Problem:
    """An unexpected error. The log has its details under the same correlation id."""
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL_CODE, INTERNAL_DETAIL)


def field_errors(errors: Sequence[Mapping[str, Any]], prefix: str = "") -> list[FieldError]:
    """Pydantic's errors as ours, each field's name under ``prefix``."""
    return [
        FieldError(".".join([*([prefix] if prefix else []), *(str(part) for part in error["loc"])]), error["msg"])
        for error in errors
    ]


def _field_error(error: Mapping[str, Any]) -> FieldError:
    where, *path = error["loc"]
    # A position within broken JSON is not a field's name.
    names = [str(part) for part in path if error["type"] != "json_invalid"]
    return FieldError(".".join(names) or str(where), error["msg"])
