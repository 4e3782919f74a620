"""The file that decoders read from S3: in blocks, of which the last few are kept, and honest about outages."""

import io
import random
from collections.abc import Callable

import pytest

from vidintel.domain.errors import LeaseLost, StorageError, StorageUnavailable, UnreadableVideo
from vidintel.infrastructure.storage.s3_download import S3Blocks, S3File

CONTENT = random.Random(7).randbytes(1003)


class Ranges:
    """What a server would send; ``fails`` is raised instead, when it is set."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.asked: list[tuple[int, int]] = []
        self.fails: Exception | None = None

    def __call__(self, start: int, end: int) -> "Ranges.Download":
        self.asked.append((start, end))
        return self.Download(self, start, end)

    class Download:
        def __init__(self, ranges: "Ranges", start: int, end: int) -> None:
            self._ranges = ranges
            self._range = slice(start, end)
            self.total = len(ranges.content)

        def read(self, size: int) -> bytes:
            if self._ranges.fails is not None:
                raise self._ranges.fails
            return self._ranges.content[self._range][:size]

        def close(self) -> None: ...


def opened(ranges: Ranges, block_bytes: int = 100, blocks_kept: int = 3) -> S3File:
    return S3File(S3Blocks(ranges, block_bytes=block_bytes, blocks_kept=blocks_kept))


def test_it_reads_as_any_file_does() -> None:
    dice = random.Random(3)
    with opened(Ranges()) as stored, io.BytesIO(CONTENT) as plain:
        for _ in range(500):
            offset, whence = dice.choice([(dice.randrange(1200), 0), (-dice.randrange(1003), 2), (0, 1)])
            size = dice.choice([0, 1, 7, 99, 100, 101, 350, 2000])
            assert stored.seek(offset, whence) == plain.seek(offset, whence)
            assert stored.read(size) == plain.read(size)
            assert stored.tell() == plain.tell()
        stored.seek(0)
        assert stored.read() == CONTENT


def test_an_empty_object_is_an_empty_file() -> None:
    with opened(Ranges(b"")) as stored:
        assert stored.read(10) == b""
        assert stored.seek(0, 2) == 0


def test_what_was_read_a_moment_ago_is_not_asked_for_again_and_what_is_kept_is_bounded() -> None:
    ranges = Ranges()
    with opened(ranges) as stored:
        for start in (0, 50, 100, 200, 0, 100, 250):
            stored.seek(start)
            stored.read(10)
        assert ranges.asked == [(0, 100), (100, 200), (200, 300)]

        stored.seek(300)
        stored.read(10)
        stored.seek(0)  # the one that was used longest ago had to go
        stored.read(10)
        assert ranges.asked[3:] == [(300, 400), (0, 100)]


def swallow(stored: S3File) -> None:
    """As a decoder that takes what it cannot read for the end of the video."""
    stored.seek(500)
    with pytest.raises(StorageUnavailable):
        stored.read(1)


def end_well(_: S3File) -> None: ...


def end_badly(_: S3File) -> None:
    raise UnreadableVideo("The file ends too early.")


@pytest.mark.parametrize("end", [end_well, end_badly])
def test_an_outage_that_the_decoder_made_nothing_of_is_told_at_the_end(end: Callable[[S3File], None]) -> None:
    ranges = Ranges()
    stored = opened(ranges)

    def decode() -> None:
        with stored:
            ranges.fails = StorageUnavailable()
            swallow(stored)
            ranges.fails = None
            swallow(stored)  # a file that was missing a part is not to be trusted any more
            end(stored)

    with pytest.raises(StorageUnavailable):
        decode()
    assert stored.closed


def test_losing_the_work_comes_before_losing_the_storage() -> None:
    ranges = Ranges()

    def decode() -> None:
        with opened(ranges) as stored:
            ranges.fails = StorageUnavailable()
            swallow(stored)
            raise LeaseLost

    with pytest.raises(LeaseLost):
        decode()


def test_an_object_that_is_another_meanwhile_is_no_video() -> None:
    ranges = Ranges()

    def read() -> None:
        with opened(ranges) as stored:
            ranges.content = CONTENT[:150]
            stored.seek(100)
            stored.read(1)

    with pytest.raises(StorageError, match="changed"):
        read()
