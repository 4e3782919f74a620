from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vidintel.domain.shots import FrameColours, ShotChanges, ShotChangesFold, shot_changes

COUNTS = st.tuples(st.integers(0, 10), st.integers(0, 10), st.just(1))


def folded(frames: list[FrameColours]) -> ShotChanges | None:
    fold = ShotChangesFold()
    for frame in frames:
        fold.add(frame)
    return fold.result()


def test_a_shot_begins_where_the_colours_are_others() -> None:
    night, day = (90, 10, 0), (10, 60, 30)
    frames = [FrameColours(float(time_s), counts) for time_s, counts in enumerate((night, night, day, day, night))]

    found = folded(frames)

    assert found == ShotChanges(frames[0], frames[-1], (2.0, 4.0))


def test_a_little_more_light_begins_none() -> None:
    frames = [FrameColours(float(step), (100 - 10 * step, 10 * step)) for step in range(10)]

    found = folded(frames)

    assert found is not None
    assert found.times_s == ()


def test_without_frames_there_is_nothing_to_tell() -> None:
    assert folded([]) is None
    assert shot_changes([]) == ()


def test_pictures_without_pixels_are_the_same() -> None:
    assert FrameColours(0.0, (0, 0)).distance(FrameColours(1.0, (0, 0))) == 0.0


@given(st.lists(COUNTS, min_size=1, max_size=30), st.sets(st.integers(1, 29)))
def test_cutting_the_video_changes_nothing(counts: list[tuple[int, ...]], cuts: set[int]) -> None:
    frames = [FrameColours(float(place), each) for place, each in enumerate(counts)]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(frames)), len(frames)]
    parts = [folded(frames[start:end]) for start, end in pairwise(bounds)]
    whole = folded(frames)

    assert whole is not None
    assert shot_changes([part for part in parts if part is not None]) == whole.times_s
