"""Routes and routers of this API. A router is made with `Router`; the rest is as in FastAPI."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from fastapi import APIRouter, Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from vidintel.application.result import Err, Ok
from vidintel.domain.errors import DomainError
from vidintel.presentation.http.admission import Admission
from vidintel.presentation.http.bodies import limit_of
from vidintel.presentation.http.dependencies import services_of
from vidintel.presentation.http.errors import FieldError, RequestInvalid, problem

Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]

_SHOWN_NAME_LENGTH = 64
_UNKNOWN = "Unknown query parameter. /docs lists the parameters of this route."
_GIVEN_TWICE = "Give this parameter once."


class Route(APIRoute):
    """A route for callers with a token. It admits a request first, then reads its body up to the declared limit."""

    needs_token = True
    refuses_unknown_parameters = True

    def __init__(self, path: str, endpoint: Callable[..., Any], **declared: Any) -> None:
        super().__init__(path, endpoint, **declared)
        self.admission = Admission(limit_of(endpoint, self.methods or ()), self.needs_token)
        self.query_parameters = frozenset(
            each.alias for each in get_flat_params(self.dependant) if isinstance(each.field_info, params.Query)
        )

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def admit_and_handle(request: Request) -> Response:
            services = services_of(request)
            match await self.admission(services, request.scope):
                case Err(error):
                    return problem(error)
                case Ok():
                    if self.refuses_unknown_parameters:
                        self._require_known_parameters(request)
                    receive = self.admission.body.limited(request.receive, services.limits())
                    return await _with_body_errors(handle, Request(request.scope, receive))

        return admit_and_handle

    def _require_known_parameters(self, request: Request) -> None:
        """A misspelt filter that is ignored, or the first of two, would return the numbers of another question."""
        known, given = self.query_parameters, [name for name, _ in request.query_params.multi_items()]
        errors = {
            name: FieldError(name[:_SHOWN_NAME_LENGTH], _GIVEN_TWICE if name in known else _UNKNOWN)
            for name in given
            if name not in known or given.count(name) > 1
        }
        if errors:
            raise RequestInvalid(list(errors.values()))


async def _with_body_errors(handle: Handler, request: Request) -> Response:
    """FastAPI turns every error while it reads a body into a 400; ours are answered as what they are."""
    try:
        return await handle(request)
    except HTTPException as error:
        if isinstance(error.__cause__, DomainError):
            return problem(error.__cause__)
        raise


class PublicRoute(Route):
    """A route that needs no token, and ignores query parameters that it does not know."""

    needs_token = False
    refuses_unknown_parameters = False


class Router(APIRouter):
    """A router whose routes need a token, unless it ``is_public``, and answer HEAD wherever they answer GET.

    HEAD is left out of the OpenAPI document. Uvicorn and `HeadWithoutBody` do not send the body of its answer.
    """

    def __init__(self, prefix: str = "", *, is_public: bool = False, **declared: Any) -> None:
        super().__init__(prefix=prefix, route_class=PublicRoute if is_public else Route, **declared)

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **declared: Any) -> None:
        super().add_api_route(path, endpoint, **declared)
        if "GET" in declared["methods"]:
            head = declared | {"methods": ["HEAD"], "include_in_schema": False}
            super().add_api_route(path, endpoint, **head)
