"""How bodies are answered: schemas as they are (the framework would validate and encode them again), and streams."""

from collections.abc import AsyncIterator, Mapping

from pydantic import BaseModel
from starlette.responses import Response


def json_response(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        body.model_dump_json(), status_code=status, headers=dict(headers or {}), media_type="application/json"
    )


async def resumed(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """All of a stream of which ``first`` was read already."""
    yield first
    async for chunk in rest:
        yield chunk
