"""``/api/v1/models``: what can be run."""

from fastapi import APIRouter
from starlette.responses import Response

from vidintel.presentation.http.dependencies import Caller, Services, guarded, value_of
from vidintel.presentation.http.openapi import problems
from vidintel.presentation.http.responses import json_response
from vidintel.presentation.http.schemas.answers import ModelList

router = APIRouter(prefix="/api/v1/models", tags=["models"], dependencies=guarded)


@router.get("", response_model=ModelList, responses=problems())
async def list_models(caller: Caller, services: Services) -> Response:
    """The models of this server: what they know, how they run, under which licence."""
    return json_response(ModelList.of(value_of(await services.list_models(caller))))
