"""How use cases are answered: `answer` for every `Result`, and responses for JSON and for stored bytes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from vidintel.application.result import Err, Ok, Result
from vidintel.presentation.http.errors import problem

T = TypeVar("T")


def answer(result: Result[T], respond: Callable[[T], BaseModel | Response], status: int = HTTPStatus.OK) -> Response:
    """The response to a use case's result.

    An ``Ok`` is answered with what ``respond`` makes of its value: a JSON body, sent with ``status``, or a response. An
    ``Err`` is answered with its problem document.
    """
    match result:
        case Ok(value):
            made = respond(value)
            return made if isinstance(made, Response) else json_response(made, status)
        case Err(error):
            return problem(error)


async def answer_async(result: Result[T], respond: Callable[[T], Awaitable[Response]]) -> Response:
    """`answer`, for a response that takes more waiting to make."""
    match result:
        case Ok(value):
            return await respond(value)
        case Err(error):
            return problem(error)


def json_response(body: BaseModel, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """``body`` as it is: FastAPI would validate and encode it again."""
    return Response(body.model_dump_json(), status_code=status, headers=headers, media_type="application/json")


class StoredBytes(StreamingResponse):
    """Bytes from the storage. HEAD does not read the storage."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await Response(status_code=self.status_code, headers=self.headers)(scope, receive, send)
            return
        # Reading the first chunk shows whether the storage has the bytes. Until then the answer can still be an error.
        chunks = aiter(self.body_iterator)
        first = await anext(chunks, b"")
        self.body_iterator = _resumed(first, chunks)
        await super().__call__(scope, receive, send)


async def _resumed(first: T, rest: AsyncIterator[T]) -> AsyncIterator[T]:
    yield first
    async for chunk in rest:
        yield chunk
