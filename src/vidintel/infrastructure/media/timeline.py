"""When pictures are shown: exact arithmetic on the player's timeline, and packets put into presentation order.

Instants are integers, in half ticks of the stream's time base, so that the middle between two pictures is one as well.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappush, heappushpop
from typing import NamedTuple

from vidintel.domain.segment import SegmentSpan

REORDER_WINDOW = 64
"""No picture is coded more than this many packets after one that is shown later. H.264 and H.265 allow 16."""


class Picture(NamedTuple):
    """One picture to be shown, as its packet tells it: ``instant`` and ``length`` are half ticks."""

    instant: int
    length: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """Turns half ticks into the seconds that a player shows, and back.

    ``origin`` (seconds, exact) is what a player shows as 0. A timeline that is not ``stamped`` belongs to a stream
    without usable timestamps: its pictures are shown at equal distances, in the order in which the decoder gives them.
    """

    time_base: Fraction
    origin: Fraction
    stamped: bool

    def seconds(self, instant: int) -> float:
        return float(instant * self.time_base / 2 - self.origin)

    def instant(self, seconds: float) -> int:
        """The instant nearest to ``seconds``; gives back exactly what `seconds` was given."""
        return round((Fraction(seconds) + self.origin) * 2 / self.time_base)

    def length(self, seconds: float | Fraction) -> int:
        """How many half ticks ``seconds`` last."""
        return round(Fraction(seconds) * 2 / self.time_base)


@dataclass(frozen=True, slots=True)
class Cut:
    """The open interval of instants of one segment. Its ends lie half-way between neighbouring pictures.

    ``None`` stands for the video's own beginning or end.
    """

    after: int | None
    before: int | None

    @classmethod
    def of(cls, span: SegmentSpan, timeline: Timeline) -> "Cut":
        return cls(
            None if span.first_frame == 0 else timeline.instant(span.start_s),
            None if span.end_s is None else timeline.instant(span.end_s),
        )

    def is_after_start(self, instant: int) -> bool:
        return self.after is None or instant > self.after

    def is_before_end(self, instant: int) -> bool:
        return self.before is None or instant < self.before


def in_presentation_order(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """Sort ``pictures``, which come in coding order, by instant; memory stays within `REORDER_WINDOW`.

    Of several pictures at one instant the first is kept, since a player shows but one. A picture that comes too late
    to be shown in order is left out.
    """
    waiting: list[Picture] = []
    last: int | None = None
    for picture in _smallest_first(pictures, waiting):
        if last is None or picture.instant > last:
            last = picture.instant
            yield picture


def _smallest_first(pictures: Iterable[Picture], waiting: list[Picture]) -> Iterator[Picture]:
    for picture in pictures:
        if len(waiting) < REORDER_WINDOW:
            heappush(waiting, picture)
        else:
            yield heappushpop(waiting, picture)
    yield from sorted(waiting)
