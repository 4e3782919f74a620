"""How large the body of a request may be: declared by each route, checked before and while the body is read."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.types import Message, Receive

from vidintel.domain.errors import PayloadTooLarge
from vidintel.settings.model import LimitSettings

E = TypeVar("E", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """At most ``max_bytes`` of ``subject``, and ``overhead_bytes`` for what the encoding of the body adds to it."""

    max_bytes: Callable[[LimitSettings], int]
    subject: str = "request body"
    overhead_bytes: int = 0

    def check(self, size_bytes: int, limits: LimitSettings) -> None:
        """Raises `PayloadTooLarge` for a body of ``size_bytes`` or more that exceeds the limit."""
        allowed = self.max_bytes(limits)
        if size_bytes > allowed + self.overhead_bytes:
            raise PayloadTooLarge(allowed, self.subject)

    def limited(self, receive: Receive, limits: LimitSettings) -> Receive:
        """``receive``, which raises `PayloadTooLarge` as soon as the body that has arrived exceeds the limit."""
        received = 0

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            self.check(received, limits)
            return message

        return limited_receive


NO_BODY = BodyLimit(lambda _limits: 0)
JSON_BODY = BodyLimit(lambda limits: limits.max_body_bytes)
FORM_WITH_VIDEO = BodyLimit(lambda limits: limits.max_upload_bytes, subject="file", overhead_bytes=1024**2)

_declared: dict[Callable[..., Any], BodyLimit] = {}


def body_limit(limit: BodyLimit) -> Callable[[E], E]:
    """Declare the limit of one route. Place it below the router's decorator."""

    def declare(endpoint: E) -> E:
        _declared[endpoint] = limit
        return endpoint

    return declare


def limit_of(endpoint: Callable[..., Any], methods: Collection[str]) -> BodyLimit:
    """The limit that ``endpoint`` declares; by default no body for GET, HEAD and DELETE, and JSON for other methods."""
    default = NO_BODY if {"GET", "HEAD", "DELETE"}.issuperset(methods) else JSON_BODY
    return _declared.get(endpoint, default)


def least_size(headers: Mapping[bytes, bytes]) -> int:
    """How many bytes the headers announce; 1 for a chunked body, whose size is unknown before it has been read."""
    announced = headers.get(b"content-length", b"")
    if announced.isdigit():
        return int(announced)
    return 1 if b"transfer-encoding" in headers else 0
