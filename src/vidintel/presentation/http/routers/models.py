"""``/api/v1/models``: the available models."""

from starlette.responses import Response

from vidintel.presentation.http.dependencies import Caller, Services
from vidintel.presentation.http.openapi import problems
from vidintel.presentation.http.responses import answer
from vidintel.presentation.http.routing import Router
from vidintel.presentation.http.schemas.answers import ModelList

router = Router("/api/v1/models", tags=["models"])


@router.get("", response_model=ModelList, responses=problems())
async def list_models(caller: Caller, services: Services) -> Response:
    """The models of this server, with their labels, runtime and licence."""
    return answer(await services.list_models(caller), ModelList.of)
