"""A snapshot extractor whose pictures are text that describes the request, for tests of use cases."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from vidintel.application.ports import SnapshotRequest


@dataclass
class FakeSnapshotExtractor:
    """``on_picture`` may raise; requests named in ``broken`` yield no snapshot."""

    on_picture: Callable[[str], None] = lambda _: None
    broken: frozenset[str] = frozenset()

    def take(self, content: BinaryIO, requests: Sequence[SnapshotRequest]) -> Generator[tuple[str, bytes], None, None]:
        assert content.read(1), "the video is open"
        for request in requests:
            self.on_picture(request.name)
            if request.name not in self.broken:
                yield request.name, f"{request.name} at {request.times_s[0]:.2f}".encode()
