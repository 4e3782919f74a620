from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from vidintel.domain.segment import SegmentSpan
from vidintel.infrastructure.media.timeline import REORDER_WINDOW, Cut, Picture, Timeline, in_presentation_order

A_DAY_OF_TICKS = 2 * 90_000 * 86_400


@settings(deadline=None)
@given(st.integers(-(10**6), A_DAY_OF_TICKS), st.sampled_from([Fraction(0), Fraction(7, 3), Fraction(1, 90_000)]))
def test_seconds_lead_back_to_the_very_instant(instant: int, origin: Fraction) -> None:
    timeline = Timeline(Fraction(1, 90_000), origin, stamped=True)
    assert timeline.instant(timeline.seconds(instant)) == instant


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6), unique=True, max_size=300), st.randoms(use_true_random=False))
def test_pictures_come_in_presentation_order(ticks: list[int], random: object) -> None:
    """Coding order as coders make it: groups within the window, each in any order."""
    ordered = sorted(ticks)
    coded: list[int] = []
    for start in range(0, len(ordered), 16):
        group = ordered[start : start + 16]
        random.shuffle(group)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
        coded += group

    shown = in_presentation_order(Picture(tick, 1, is_keyframe=False) for tick in coded)

    assert [picture.instant for picture in shown] == ordered


def test_of_two_pictures_at_one_instant_one_is_shown() -> None:
    pictures = [Picture(instant, 2, is_keyframe=False) for instant in (0, 2, 2, 4)]
    assert [picture.instant for picture in in_presentation_order(pictures)] == [0, 2, 4]


def test_a_picture_that_comes_far_too_late_is_left_out() -> None:
    late = [*range(10, 10 + 2 * REORDER_WINDOW), 3]
    pictures = (Picture(instant, 1, is_keyframe=False) for instant in late)
    assert [picture.instant for picture in in_presentation_order(pictures)] == late[:-1]


def test_the_first_and_the_last_segment_are_open() -> None:
    timeline = Timeline(Fraction(1, 25), Fraction(0), stamped=True)
    whole = Cut.of(SegmentSpan(0, 0.0, None, 0, 10, 10), timeline)
    assert whole.is_after_start(-100)
    assert whole.is_before_end(10**12)

    inner = Cut.of(SegmentSpan(1, 0.02, 0.1, 1, 2, 2), timeline)
    assert (inner.after, inner.before) == (1, 5)
    assert [instant for instant in range(8) if inner.is_after_start(instant)] == [2, 3, 4, 5, 6, 7]
    assert [instant for instant in range(8) if inner.is_before_end(instant)] == [0, 1, 2, 3, 4]
