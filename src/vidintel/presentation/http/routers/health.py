"""``/health``: liveness, start-up and readiness of the process. No token is needed, and nothing secret is shown."""

from http import HTTPStatus

from starlette.responses import Response

from vidintel.presentation.http.dependencies import Services
from vidintel.presentation.http.responses import json_response
from vidintel.presentation.http.routing import Router
from vidintel.presentation.http.schemas.answers import Health, Readiness

_RETRY_AFTER_S = 5

router = Router("/health", is_public=True, tags=["health"])


@router.get("", response_model=Health)
async def live(services: Services) -> Response:
    """Liveness: a process that does not answer should be restarted. See `/health/ready` for its dependencies."""
    return json_response(Health(version=services.version))


@router.get(
    "/startup",
    response_model=Health,
    responses={503: {"model": Readiness, "description": "Not all dependencies have answered yet."}},
)
async def started(services: Services) -> Response:
    """Whether all dependencies have answered at least once since the process was started."""
    if not services.lifecycle.has_started:
        readiness = await _readiness(services)
        if readiness.status == "unavailable":
            return _not_now(readiness)
    return json_response(Health(version=services.version))


@router.get(
    "/ready",
    response_model=Readiness,
    responses={
        503: {"model": Readiness, "description": "The process is shutting down, or a dependency does not answer."}
    },
)
async def ready(services: Services) -> Response:
    """Readiness: whether to send requests to this process, and whether each dependency answers now."""
    readiness = await _readiness(services)
    return json_response(readiness) if readiness.status == "ok" else _not_now(readiness)


async def _readiness(services: Services) -> Readiness:
    lifecycle = services.lifecycle
    readiness = Readiness.of(await services.check_readiness(), is_draining=lifecycle.is_draining)
    if readiness.status == "ok":
        lifecycle.start()
    return readiness


def _not_now(readiness: Readiness) -> Response:
    return json_response(readiness, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": str(_RETRY_AFTER_S)})
