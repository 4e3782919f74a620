"""``/api/v1/me``: the caller."""

from starlette.responses import Response

from vidintel.presentation.http.dependencies import Caller
from vidintel.presentation.http.openapi import problems
from vidintel.presentation.http.responses import json_response
from vidintel.presentation.http.routing import Router
from vidintel.presentation.http.schemas.answers import Me

router = Router("/api/v1/me", tags=["identity"])


@router.get("", response_model=Me, responses=problems())
async def who_am_i(caller: Caller) -> Response:
    """Your user, your tenant (the organisation, or yourself without one), your role and its permissions."""
    return json_response(Me.of(caller))
