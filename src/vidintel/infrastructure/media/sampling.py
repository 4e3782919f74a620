"""Which frames are analysed: for each point of a regular grid the frame nearest to it, as pure functions.

The grid is ``k / rate`` seconds (k = 0, 1, 2, …) on the player's timeline, up to the last frame. A frame is taken when
a point lies after the middle between it and the frame before, and not after the middle between it and the next: so a
point half-way between two frames goes to the earlier one. Since segments are cut at such middles, the choice within a
segment needs no look at its neighbours and does not depend on how the video was cut.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from vidintel.infrastructure.media.timeline import Cut, Timeline


@dataclass(frozen=True, slots=True)
class SampleGrid:
    """The grid in whole numbers, to be exact and quick: instant ``i`` lies ``(i * numerator - offset) / denominator``
    grid steps after 0 s."""

    numerator: int
    offset: int
    denominator: int

    @classmethod
    def of(cls, timeline: Timeline, sample_fps: float) -> "SampleGrid":
        """``sample_fps`` is taken as the decimal it is written as: 0.1 means one frame every 10 s exactly."""
        rate = Fraction(str(sample_fps))
        slope = timeline.time_base / 2 * rate
        zero = timeline.origin * rate
        return cls(
            slope.numerator * zero.denominator,
            zero.numerator * slope.denominator,
            slope.denominator * zero.denominator,
        )

    def points_until(self, instant: int) -> int:
        """How many grid points lie at or before ``instant``."""
        return max(0, (instant * self.numerator - self.offset) // self.denominator + 1)


def choose(instants: Iterable[int], grid: SampleGrid | None, cut: Cut) -> Iterator[bool]:
    """For each of the ``instants`` of the frames of ``cut``, in order, whether the frame is taken.

    Without a ``grid`` every frame is.
    """
    if grid is None:
        yield from (True for _ in instants)
        return
    passed = 0 if cut.after is None else grid.points_until(cut.after)
    ahead = iter(instants)
    instant = next(ahead, None)
    while instant is not None:
        following = next(ahead, None)
        if following is not None:
            turn_ends = (instant + following) // 2
        else:
            turn_ends = instant if cut.before is None else cut.before
        reached = grid.points_until(turn_ends)
        yield reached > passed
        passed, instant = reached, following
