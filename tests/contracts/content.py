"""Content for the contract suites of the storage."""

from collections.abc import AsyncIterator

from vidintel.application.ports import ObjectStorage

KEY = "videos/0b8e5b0e-2f7c-4a39-9b76-3f6d7e3e2a11/source"
NO_LIMIT = 1024**3


async def stream(*chunks: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    """The chunks, and then, if one is given, the exception."""
    for chunk in chunks:
        yield chunk
    if then is not None:
        raise then


async def content_of(storage: ObjectStorage, key: str = KEY, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([block async for block in storage.read(key, start, end)])
