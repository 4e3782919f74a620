"""``/health``: has the process started, is it alive, and can it be sent requests? No token wanted, no secret told."""

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
    """The process is alive: one that does not answer is to be restarted. Whether it can work is `/health/ready`."""
    return json_response(Health(version=services.version))


@router.get(
    "/startup",
    response_model=Health,
    responses={503: {"model": Readiness, "description": "Not everything that we depend on has answered yet."}},
)
async def started(services: Services) -> Response:
    """Whether everything was ready once since the process was started. From then on it stays so."""
    if not services.lifecycle.has_started:
        readiness = await _readiness(services)
        if readiness.status == "unavailable":
            return _not_now(readiness)
    return json_response(Health(version=services.version))


@router.get(
    "/ready",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "It is about to end, or something does not answer."}},
)
async def ready(services: Services) -> Response:
    """Whether requests are to be sent here: each thing we depend on, and whether it answers now."""
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
