"""What a request must pass before its route runs."""

from dataclasses import dataclass

import structlog
from fastapi.security.utils import get_authorization_scheme_param
from starlette.types import Scope

from vidintel.application.result import as_result
from vidintel.domain.errors import AuthenticationError
from vidintel.presentation.http.bodies import BodyLimit, least_size
from vidintel.presentation.http.dependencies import HttpServices


@dataclass(frozen=True, slots=True)
class Admission:
    """Authenticates the caller and checks the announced size of the body, before any of the body is read.

    Each route has one. Both the route and the shortcut for frequent reads call it: a check that is added here, such as
    a rate limit, applies to both.
    """

    body: BodyLimit
    needs_token: bool

    @as_result
    async def __call__(self, services: HttpServices, scope: Scope) -> None:
        """Fails with `AuthenticationError`, `PayloadTooLarge`. The caller is in the request's state afterwards."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self.needs_token:
            _authenticate(services, scope, headers.get(b"authorization", b"").decode("latin-1"))
        size_bytes = least_size(headers)
        if size_bytes:
            self.body.check(size_bytes, services.limits())


def _authenticate(services: HttpServices, scope: Scope, authorization: str) -> None:
    scheme, token = get_authorization_scheme_param(authorization)
    if scheme.lower() != "bearer" or not token:
        raise AuthenticationError("Send a session token: `Authorization: Bearer <token>`.")
    principal = services.verifier.verify(token)
    scope.setdefault("state", {})["principal"] = principal
    structlog.contextvars.bind_contextvars(tenant=str(principal.tenant_id), user=str(principal.user_id))
