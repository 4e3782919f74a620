"""Against what is really in the pictures: frame numbers, times, way up and size of every file of the set."""

import hashlib
import io
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.decoder_contract import LIMITS
from tests.support.media_conformance import CASES, Case, number_in
from vidintel.application.ports import Frame, MediaPlan
from vidintel.domain.video import MediaWarning
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder

Seen = list[tuple[int, float, str]]


@cache
def content(case: Case) -> bytes:
    return case.make()


def analysed(
    case: Case, *, segment_s: float = 0.3, sample_fps: float | None = None, samples_max: int = 5_000
) -> tuple[MediaPlan, list[Frame], list[MediaWarning]]:
    decoder, stream = PyAvVideoDecoder(samples_max), io.BytesIO(content(case))
    plan = decoder.plan(stream, segment_s=segment_s, sample_fps=sample_fps, limits=LIMITS)
    warnings = list(plan.warnings)
    frames = [
        frame
        for span in plan.segments
        for frame in decoder.frames(stream, span, sample_fps=sample_fps, warn=warnings.append)
    ]
    return plan, frames, warnings


@cache
def seen_at_once(case: Case, sample_fps: float | None) -> Seen:
    return seen_in(analysed(case, segment_s=1000.0, sample_fps=sample_fps)[1])


def seen_in(frames: list[Frame]) -> Seen:
    return [(frame.index, frame.time_s, hashlib.sha256(frame.image.tobytes()).hexdigest()) for frame in frames]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_frame_is_where_and_when_a_player_shows_it(case: Case) -> None:
    plan, frames, warnings = analysed(case)

    assert [frame.index for frame in frames] == list(range(len(case.times)))
    assert [number_in(frame.image) for frame in frames] == list(case.shown)
    assert [frame.time_s for frame in frames] == pytest.approx(list(case.times), abs=case.tolerance_s)
    assert {frame.image.shape for frame in frames} == {(case.height, case.width, 3)}
    media = plan.media
    assert (media.container, media.codec) == (case.container, case.codec)
    assert (media.width, media.height, media.rotation) == (case.width, case.height, case.rotation)
    assert media.frame_count == len(case.times)
    assert case.times[-1] < media.duration_s < case.times[-1] + 0.7
    assert {warning.code for warning in warnings} == set(case.warnings)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(CASES), st.floats(0.01, 3.0), st.sampled_from([None, 5.0, 12.5, 29.97]), st.sampled_from([1, 4, 50])
)
def test_cutting_changes_nothing(case: Case, segment_s: float, sample_fps: float | None, samples_max: int) -> None:
    plan, frames, _ = analysed(case, segment_s=segment_s, sample_fps=sample_fps, samples_max=samples_max)

    assert seen_in(frames) == seen_at_once(case, sample_fps)
    assert all(span.sample_count <= samples_max for span in plan.segments)


def group_starts(case: Case, segment_s: float, sample_fps: float | None, samples_max: int) -> set[int]:
    """The index of the first frame of every group."""
    decoder, stream = PyAvVideoDecoder(samples_max), io.BytesIO(content(case))
    plan = decoder.plan(stream, segment_s=segment_s, sample_fps=sample_fps, limits=LIMITS)
    starts: dict[tuple[int, int], int] = {}
    for span in plan.segments:
        for frame in decoder.frames(stream, span, sample_fps=sample_fps):
            starts.setdefault((span.index, frame.group), frame.index)
    return set(starts.values())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CASES), st.floats(0.01, 3.0), st.sampled_from([None, 5.0, 12.5]), st.sampled_from([1, 4, 50]))
def test_groups_of_frames_do_not_depend_on_the_cut(
    case: Case, segment_s: float, sample_fps: float | None, samples_max: int
) -> None:
    starts = group_starts(case, segment_s, sample_fps, samples_max)

    assert starts == group_starts(case, 1000.0, sample_fps, samples_max)
    assert starts


@pytest.mark.parametrize("case", [case for case in CASES if case.group == "time"], ids=str)
@pytest.mark.parametrize("sample_fps", [5.0, 24.0])
def test_sampling_takes_the_nearest_frames_and_none_twice(case: Case, sample_fps: float) -> None:
    _, everything, _ = analysed(case)
    times = [round(frame.time_s, 9) for frame in everything]
    points = [k / sample_fps for k in range(1 + int(times[-1] * sample_fps + 1e-9))]
    distances = [min(abs(time_s - point) for time_s in times) for point in points]

    _, frames, _ = analysed(case, sample_fps=sample_fps)

    indexes = [frame.index for frame in frames]
    assert indexes == sorted(set(indexes))
    for point, distance in zip(points, distances, strict=True):
        assert min(abs(frame.time_s - point) for frame in frames) == pytest.approx(distance, abs=1e-6)
    assert len(frames) <= len(points)
