"""Answers that are written straight from a schema: the framework would validate and encode them a second time."""

from collections.abc import Mapping

from pydantic import BaseModel
from starlette.responses import Response


def json_response(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        body.model_dump_json(), status_code=status, headers=dict(headers or {}), media_type="application/json"
    )
