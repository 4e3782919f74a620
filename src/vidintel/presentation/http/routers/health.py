"""``/health``: is the process alive, and is everything it needs there? No token wanted, no secret told."""

from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import Response

from vidintel.presentation.http.dependencies import Services
from vidintel.presentation.http.responses import json_response
from vidintel.presentation.http.schemas.answers import Health, Readiness

_RETRY_AFTER_S = 5

router = APIRouter(prefix="/health", tags=["health"])


@router.get("", response_model=Health)
async def live(services: Services) -> Response:
    """The process is alive; whether it can work is `/health/ready`."""
    return json_response(Health(version=services.version))


@router.get(
    "/ready",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Something that we depend on does not answer."}},
)
async def ready(services: Services) -> Response:
    """Each thing we depend on, and whether it answers now."""
    readiness = Readiness.of(await services.check_readiness())
    if readiness.status == "ok":
        return json_response(readiness)
    return json_response(readiness, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": str(_RETRY_AFTER_S)})
