from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from vidintel.infrastructure.media.sampling import SampleGrid, choose
from vidintel.infrastructure.media.timeline import Cut, Timeline

WHOLE = Cut(None, None)
TIME_BASES = [Fraction(1, 90_000), Fraction(1, 1000), Fraction(1001, 30_000), Fraction(1, 25)]

instants = st.lists(st.integers(0, 300), min_size=1, max_size=40, unique=True).map(
    lambda ticks: [2 * tick for tick in sorted(ticks)]
)
timelines = st.builds(
    Timeline,
    st.sampled_from(TIME_BASES),
    st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(-7, 90_000)]),
    st.just(value=True),
)
rates = st.sampled_from([0.1, 0.3, 1.0, 5.0, 7.5, 25.0, 29.97])


def chosen(timeline: Timeline, shown: Sequence[int], rate: float, cut: Cut = WHOLE) -> list[bool]:
    return list(choose(shown, SampleGrid.of(timeline, rate), cut))


@settings(deadline=None)
@given(timelines, instants, rates)
def test_a_frame_is_taken_when_it_is_the_nearest_to_a_grid_point(
    timeline: Timeline, shown: list[int], rate: float
) -> None:
    exact = [instant * timeline.time_base / 2 - timeline.origin for instant in shown]
    step = 1 / Fraction(str(rate))
    expected = set()
    for k in range(max(0, int(exact[-1] / step)) + 1):
        point = k * step
        if point <= exact[-1]:
            expected.add(min(range(len(exact)), key=lambda index: (abs(exact[index] - point), index)))

    taken = chosen(timeline, shown, rate)

    assert {index for index, is_taken in enumerate(taken) if is_taken} == expected


@settings(deadline=None)
@given(timelines, instants, rates, st.data())
def test_the_choice_does_not_depend_on_the_cuts(
    timeline: Timeline, shown: list[int], rate: float, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(shown) - 1)))) if len(shown) > 1 else []
    pieces: list[bool] = []
    for first, end in pairwise([0, *cuts, len(shown)]):
        # The ends travel as seconds, as they do in the database.
        after, before = (
            timeline.instant(timeline.seconds((shown[at - 1] + shown[at]) // 2)) if 0 < at < len(shown) else None
            for at in (first, end)
        )
        pieces += chosen(timeline, shown[first:end], rate, Cut(after, before))

    assert pieces == chosen(timeline, shown, rate)


def test_without_a_rate_every_frame_is_taken() -> None:
    assert list(choose([0, 2, 8], None, WHOLE)) == [True, True, True]


def test_no_frames_no_choice() -> None:
    timeline = Timeline(Fraction(1, 25), Fraction(0), stamped=True)
    assert chosen(timeline, [], 5.0) == []


def test_a_rate_is_the_decimal_it_is_written_as() -> None:
    """A frame every second and one wanted every 10 s: 0.1 is no exact binary fraction, and must not drift."""
    timeline = Timeline(Fraction(1), Fraction(0), stamped=True)

    taken = chosen(timeline, [2 * second for second in range(101)], 0.1)

    assert [second for second, is_taken in enumerate(taken) if is_taken] == list(range(0, 101, 10))
