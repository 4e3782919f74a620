"""What every `VideoDecoder` does. A subclass per adapter gives the ``decoder`` and ``make_clip`` fixtures."""

import io
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from vidintel.application.ports import Frame, MediaLimits, MediaPlan, VideoDecoder
from vidintel.domain.errors import (
    DurationExceeded,
    LeaseLost,
    NoFrames,
    NotAVideo,
    ResolutionUnsupported,
    UnreadableVideo,
)

LIMITS = MediaLimits(max_duration_s=3600.0, max_side_px=8192)
EVEN = tuple(index / 25 for index in range(60))
UNEVEN = (0.0, 0.04, 0.05, 0.11, 0.5, 0.52, 0.9, 0.91, 0.92, 1.4, 1.44, 1.48, 2.2, 2.24, 2.25, 2.3, 2.9, 3.0, 3.3)

MakeClip = Callable[[Sequence[float], int], bytes]
"""Makes a clip with frames at the given seconds and a keyframe every so many frames."""


def plan_of(
    decoder: VideoDecoder, clip: bytes, segment_s: float, sample_fps: float | None, limits: MediaLimits = LIMITS
) -> MediaPlan:
    return decoder.plan(io.BytesIO(clip), segment_s=segment_s, sample_fps=sample_fps, limits=limits)


def frames_of(decoder: VideoDecoder, clip: bytes, plan: MediaPlan, sample_fps: float | None) -> list[Frame]:
    content = io.BytesIO(clip)
    return [frame for span in plan.segments for frame in decoder.frames(content, span, sample_fps=sample_fps)]


class VideoDecoderContract:
    @pytest.fixture
    def decoder(self) -> VideoDecoder:
        raise NotImplementedError

    @pytest.fixture
    def make_clip(self) -> MakeClip:
        raise NotImplementedError

    @pytest.mark.parametrize("times", [EVEN, UNEVEN])
    def test_every_frame_comes_once_with_its_index_and_time(
        self, decoder: VideoDecoder, make_clip: MakeClip, times: Sequence[float]
    ) -> None:
        clip = make_clip(times, 6)
        plan = plan_of(decoder, clip, 0.5, None)

        frames = frames_of(decoder, clip, plan, None)

        assert [frame.index for frame in frames] == list(range(len(times)))
        assert [frame.time_s for frame in frames] == pytest.approx(list(times), abs=1e-6)
        assert plan.media.frame_count == len(times)
        assert plan.media.duration_s >= times[-1]
        shape = (plan.media.height, plan.media.width, 3)
        assert all(frame.image.shape == shape and frame.image.flags.c_contiguous for frame in frames)

    def test_the_spans_follow_each_other_and_count_what_they_hold(
        self, decoder: VideoDecoder, make_clip: MakeClip
    ) -> None:
        clip = make_clip(EVEN, 6)
        spans = plan_of(decoder, clip, 0.5, 10.0).segments

        assert [span.index for span in spans] == list(range(len(spans)))
        assert len(spans) > 2
        assert spans[0].start_s == 0.0
        assert spans[-1].end_s is None
        for before, after in pairwise(spans):
            assert before.end_s == after.start_s
            assert before.first_frame + before.frame_count == after.first_frame
        for span in spans:
            everything = list(decoder.frames(io.BytesIO(clip), span, sample_fps=None))
            chosen = list(decoder.frames(io.BytesIO(clip), span, sample_fps=10.0))
            assert len(everything) == span.frame_count
            assert len(chosen) == span.sample_count
            assert all(span.start_s <= frame.time_s < (span.end_s or 1e9) for frame in everything)

    @pytest.mark.parametrize("times", [EVEN, UNEVEN])
    @pytest.mark.parametrize("sample_fps", [0.7, 2.0, 10.0, 29.97, None])
    def test_what_is_chosen_does_not_depend_on_the_cutting(
        self, decoder: VideoDecoder, make_clip: MakeClip, times: Sequence[float], sample_fps: float | None
    ) -> None:
        clip = make_clip(times, 4)
        outcomes = []
        for segment_s in (0.1, 0.5, 1.0, 100.0):
            plan = plan_of(decoder, clip, segment_s, sample_fps)
            frames = frames_of(decoder, clip, plan, sample_fps)
            assert sum(span.sample_count for span in plan.segments) == len(frames)
            outcomes.append([(frame.index, frame.time_s, frame.image.tobytes()) for frame in frames])

        assert all(outcome == outcomes[0] for outcome in outcomes)

    @pytest.mark.parametrize("times", [EVEN, UNEVEN])
    @pytest.mark.parametrize("sample_fps", [1.0, 5.0, 10.0])
    def test_each_grid_point_gets_the_nearest_frame_the_earlier_one_on_a_tie(
        self, decoder: VideoDecoder, make_clip: MakeClip, times: Sequence[float], sample_fps: float
    ) -> None:
        clip = make_clip(times, 6)
        points = (k / sample_fps for k in range(1 + int(times[-1] * sample_fps + 1e-9)))
        nearest = {min(range(len(times)), key=lambda i: (round(abs(times[i] - point), 9), i)) for point in points}

        frames = frames_of(decoder, clip, plan_of(decoder, clip, 0.5, sample_fps), sample_fps)

        assert [frame.index for frame in frames] == sorted(nearest)

    def test_frames_may_be_left_unread(self, decoder: VideoDecoder, make_clip: MakeClip) -> None:
        clip = make_clip(EVEN, 6)
        content = io.BytesIO(clip)
        span = plan_of(decoder, clip, 100.0, None).segments[0]

        for _ in range(3):
            assert next(iter(decoder.frames(content, span, sample_fps=None))).index == 0

        assert not content.closed

    def test_work_can_be_stopped_on_the_way_to_a_frame(self, decoder: VideoDecoder, make_clip: MakeClip) -> None:
        clip = make_clip(EVEN, 6)
        span = plan_of(decoder, clip, 100.0, None).segments[0]

        def stop() -> None:
            raise LeaseLost

        with pytest.raises(LeaseLost):
            next(iter(decoder.frames(io.BytesIO(clip), span, sample_fps=None, heartbeat=stop)))

    @pytest.mark.parametrize("content", [b"", b"This is a text, and no video.\n" * 50])
    def test_what_is_no_video_is_refused(self, decoder: VideoDecoder, content: bytes) -> None:
        with pytest.raises(NotAVideo):
            plan_of(decoder, content, 10.0, None)

    def test_a_video_without_frames_is_refused(self, decoder: VideoDecoder, make_clip: MakeClip) -> None:
        with pytest.raises((NoFrames, UnreadableVideo)):
            plan_of(decoder, make_clip((), 6), 10.0, None)

    def test_a_video_that_is_too_long_is_refused(self, decoder: VideoDecoder, make_clip: MakeClip) -> None:
        limits = MediaLimits(max_duration_s=2.0, max_side_px=8192)
        with pytest.raises(DurationExceeded):
            plan_of(decoder, make_clip(EVEN, 6), 10.0, None, limits)

    @pytest.mark.parametrize(
        "limits",
        [MediaLimits(max_duration_s=60.0, max_side_px=32), MediaLimits(60.0, max_side_px=8192, min_side_px=2000)],
    )
    def test_a_picture_outside_the_limits_is_refused(
        self, decoder: VideoDecoder, make_clip: MakeClip, limits: MediaLimits
    ) -> None:
        with pytest.raises(ResolutionUnsupported):
            plan_of(decoder, make_clip(EVEN, 6), 10.0, None, limits)
