"""A camera whose pictures are text: what was ordered, for tests of use cases."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from vidintel.application.ports import SnapshotRequest


@dataclass
class FakeCamera:
    """``on_picture`` may raise; orders named in ``broken`` cannot be had."""

    on_picture: Callable[[str], None] = lambda _: None
    broken: frozenset[str] = frozenset()

    def take(self, content: BinaryIO, orders: Sequence[SnapshotRequest]) -> Generator[tuple[str, bytes], None, None]:
        assert content.read(1), "the video is open"
        for order in orders:
            self.on_picture(order.name)
            if order.name not in self.broken:
                yield order.name, f"{order.name} at {order.times_s[0]:.2f}".encode()
