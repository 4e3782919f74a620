"""A cheap check of the first uploaded bytes, which rejects content that cannot be a video.

It rejects only content of a known other type. Whether the content really is a video, the worker's decoder decides.
"""

from collections.abc import AsyncIterator

from vidintel.domain.errors import EmptyFile, NotAVideo

_HEAD_BYTES = 512
_NOT_VIDEO: dict[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF-": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"fLaC": "an audio file",
    b"ID3": "an audio file",
}
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")


def refuse_non_video(head: bytes) -> None:
    """Raise `NotAVideo` when the first bytes of a file cannot be those of a video container."""
    for signature, what in _NOT_VIDEO.items():
        if head.startswith(signature):
            raise NotAVideo(f"The content is {what}, not a video.")
    if _is_text(head):
        raise NotAVideo("The content is text, not a video.")


async def checked(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass ``chunks`` on. Raises `NotAVideo` at the first bytes, and `EmptyFile` when there are none."""
    head = bytearray()
    looked = False
    async for chunk in chunks:
        if looked:
            yield chunk
            continue
        head += chunk
        if len(head) >= _HEAD_BYTES:
            refuse_non_video(bytes(head[:_HEAD_BYTES]))
            looked = True
            yield bytes(head)
    if not head:
        raise EmptyFile
    if not looked:
        refuse_non_video(bytes(head))
        yield bytes(head)


def _is_text(head: bytes) -> bool:
    if any(byte < 32 and byte not in _TEXT_CONTROLS for byte in head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The last character may be incomplete, because only the first bytes are decoded.
        return error.start >= len(head) - 3 and error.end == len(head)
    return True
