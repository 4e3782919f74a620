"""What every `Tracker` keeps to."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest

from vidintel.application.ports import TrackerFactory
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.tracking import TrackedFrame, points_of

TRACK_CONFIDENCE = 0.6

Mover = tuple[str, float, float, float, float]
"""Label, x and y of the centre at 0 s, and speed along x and y, pictures a second; seen while in the picture."""


def detection(label: str, x: float, y: float, confidence: float = 0.9, size: float = 0.1) -> Detection | None:
    """A box cut at the picture's edges, ``None`` when little of it is in the picture."""
    x1, y1, x2, y2 = max(x - size / 2, 0), max(y - size / 2, 0), min(x + size / 2, 1), min(y + size / 2, 1)
    if x2 - x1 < size / 3 or y2 - y1 < size / 3:
        return None
    return Detection(label, confidence, BoundingBox(x1, y1, x2, y2))


def scene(movers: Sequence[Mover], fps: float, seconds: float = 6.0) -> list[FrameDetections]:
    frames = []
    for index in range(round(seconds * fps)):
        time_s = index / fps
        seen = [detection(label, x + vx * time_s, y + vy * time_s) for label, x, y, vx, vy in movers]
        frames.append(FrameDetections(index, time_s, tuple(one for one in seen if one)))
    return frames


class TrackerContract:
    @pytest.fixture
    def new_tracker(self) -> TrackerFactory:
        raise NotImplementedError

    def follow(self, new_tracker: TrackerFactory, frames: Sequence[FrameDetections], fps: float) -> list[TrackedFrame]:
        tracker = new_tracker(1 / fps, TRACK_CONFIDENCE)
        tracked = [decided for frame in frames for decided in tracker.update(frame)]
        return [*tracked, *tracker.finish()]

    def tracks(self, tracked: Sequence[TrackedFrame]) -> dict[int, list[tuple[float, str]]]:
        found: dict[int, list[tuple[float, str]]] = defaultdict(list)
        for frame in tracked:
            for track_id, point in points_of(frame):
                found[track_id].append((point.time_s, point.label))
        return found

    @pytest.mark.parametrize("fps", [2, 5, 6, 8, 10, 12.5, 25, 60])
    def test_each_object_has_one_track_at_every_frame_rate(self, new_tracker: TrackerFactory, fps: float) -> None:
        movers: list[Mover] = [
            ("car", 0.2, 0.2, 0.12, 0.0),
            ("car", 0.0, 0.2, 0.12, 0.0),
            ("car", 0.8, 0.5, -0.12, 0.0),
            ("person", 0.5, 0.8, 0.02, 0.0),
        ]
        frames = scene(movers, fps)

        tracked = self.follow(new_tracker, frames, fps)

        assert [one.frame for one in tracked] == frames
        assert set(self.tracks(tracked)) == {1, 2, 3, 4}

    def test_frames_come_back_in_order_with_one_entry_a_detection(self, new_tracker: TrackerFactory) -> None:
        frames = scene([("car", 0.1, 0.5, 0.2, 0.0), ("person", 0.5, 0.1, 0.0, 0.05)], 5)

        tracked = self.follow(new_tracker, frames, 5)

        assert [one.frame for one in tracked] == frames
        assert all(len(one.track_ids) == len(one.frame.detections) for one in tracked)

    def test_decisions_lag_behind_by_a_bounded_time(self, new_tracker: TrackerFactory) -> None:
        tracker = new_tracker(1 / 5, TRACK_CONFIDENCE)
        decided = 0
        for count, frame in enumerate(scene([("car", 0.1, 0.5, 0.02, 0.0)], 5, seconds=30), start=1):
            decided += len(tracker.update(frame))
            assert count - decided <= 2 * 5

    def test_the_same_frames_give_the_same_tracks(self, new_tracker: TrackerFactory) -> None:
        frames = scene([("car", 0.1, 0.5, 0.2, 0.0), ("car", 0.1, 0.6, 0.2, 0.0), ("dog", 0.1, 0.2, 0.1, 0.1)], 5)

        assert self.follow(new_tracker, frames, 5) == self.follow(new_tracker, frames, 5)

    @pytest.mark.parametrize("fps", [5, 25])
    def test_an_object_hidden_for_two_seconds_is_the_same_afterwards(
        self, new_tracker: TrackerFactory, fps: float
    ) -> None:
        frames = [frame for frame in scene([("car", 0.1, 0.5, 0.12, 0.0)], fps) if not 2 <= frame.time_s < 4]

        tracks = self.tracks(self.follow(new_tracker, frames, fps))

        assert set(tracks) == {1}
        assert {time_s for time_s, _ in tracks[1]} == {frame.time_s for frame in frames}

    def test_what_was_never_seen_surely_is_no_track(self, new_tracker: TrackerFactory) -> None:
        frames = [
            FrameDetections(
                frame.frame, frame.time_s, tuple(replace(seen, confidence=0.55) for seen in frame.detections)
            )
            for frame in scene([("car", 0.1, 0.5, 0.12, 0.0)], 5)
        ]

        for track_confidence, found in ((0.5, {1}), (0.6, set())):
            tracker = new_tracker(1 / 5, track_confidence)
            tracked = [decided for frame in frames for decided in tracker.update(frame)]
            assert set(self.tracks([*tracked, *tracker.finish()])) == found

    def test_one_seen_once_before_it_was_hidden_is_the_same_afterwards(self, new_tracker: TrackerFactory) -> None:
        frames = [frame for frame in scene([("car", 0.1, 0.5, 0.12, 0.0)], 5) if not 0 < frame.time_s < 1.2]

        tracks = self.tracks(self.follow(new_tracker, frames, 5))

        assert {track_id: len(points) for track_id, points in tracks.items()} == {1: len(frames)}

    def test_one_that_was_seen_only_once_is_no_track(self, new_tracker: TrackerFactory) -> None:
        frames = scene([("car", 0.1, 0.5, 0.12, 0.0)], 5)[:1]

        assert self.tracks(self.follow(new_tracker, frames, 5)) == {}

    @pytest.mark.parametrize(
        ("appearance", "found"), [(bytes([90, 20, 150] * 9), {1}), (bytes([20, 150, 90] * 9), {1, 2})]
    )
    def test_one_that_comes_out_of_hiding_is_the_same_only_if_it_looks_so(
        self, new_tracker: TrackerFactory, appearance: bytes, found: set[int]
    ) -> None:
        frames = [
            FrameDetections(
                frame.frame,
                frame.time_s,
                tuple(
                    replace(seen, appearance=bytes([90, 20, 150] * 9) if frame.time_s < 2 else appearance)
                    for seen in frame.detections
                ),
            )
            for frame in scene([("car", 0.1, 0.5, 0.1, 0.0)], 5, seconds=8)
            if not 2 <= frame.time_s < 5
        ]

        assert set(self.tracks(self.follow(new_tracker, frames, 5))) == found

    @pytest.mark.parametrize("fps", [5, 25])
    def test_dropped_frames_break_no_track(self, new_tracker: TrackerFactory, fps: float) -> None:
        movers: list[Mover] = [("car", 0.1, 0.3, 0.12, 0.0), ("car", 0.9, 0.5, -0.12, 0.0)]
        frames = [frame for index, frame in enumerate(scene(movers, fps)) if index % 5 not in {3, 4}]

        assert set(self.tracks(self.follow(new_tracker, frames, fps))) == {1, 2}

    def test_one_that_comes_long_after_another_left_is_another(self, new_tracker: TrackerFactory) -> None:
        early = scene([("car", 0.5, 0.5, 0.0, 0.0)], 5, seconds=2)
        late = [
            FrameDetections(frame.frame + 500, frame.time_s + 100, frame.detections)
            for frame in scene([("car", 0.5, 0.5, 0.0, 0.0)], 5, seconds=2)
        ]

        assert set(self.tracks(self.follow(new_tracker, [*early, *late], 5))) == {1, 2}

    def test_a_label_that_flickers_does_not_break_a_track(self, new_tracker: TrackerFactory) -> None:
        frames = [
            FrameDetections(
                frame.frame,
                frame.time_s,
                tuple(
                    Detection(("car", "truck")[frame.frame % 2], seen.confidence, seen.box) for seen in frame.detections
                ),
            )
            for frame in scene([("car", 0.1, 0.5, 0.12, 0.0)], 5)
        ]

        assert set(self.tracks(self.follow(new_tracker, frames, 5))) == {1}

    def test_a_person_and_a_car_are_never_one(self, new_tracker: TrackerFactory) -> None:
        frames = [
            *(frame for frame in scene([("car", 0.5, 0.5, 0.0, 0.0)], 5) if frame.time_s < 3),
            *(frame for frame in scene([("person", 0.5, 0.5, 0.0, 0.0)], 5) if frame.time_s >= 3),
        ]

        tracks = self.tracks(self.follow(new_tracker, frames, 5))

        assert [{label for _, label in points} for points in tracks.values()] == [{"car"}, {"person"}]

    def test_doubtful_detections_prolong_a_track_but_start_none(self, new_tracker: TrackerFactory) -> None:
        def doubtful(frame: FrameDetections) -> FrameDetections:
            seen = tuple(Detection(one.label, 0.15, one.box) for one in frame.detections)
            return FrameDetections(frame.frame, frame.time_s, seen)

        frames = scene([("car", 0.1, 0.5, 0.12, 0.0)], 5)
        fading = [frame if frame.time_s < 2 else doubtful(frame) for frame in frames]

        assert {len(points) for points in self.tracks(self.follow(new_tracker, fading, 5)).values()} == {len(frames)}
        assert not self.tracks(self.follow(new_tracker, [doubtful(frame) for frame in frames], 5))

    def test_a_detection_seen_once_is_no_track(self, new_tracker: TrackerFactory) -> None:
        frames = scene([], 5, seconds=2)
        seen = detection("car", 0.5, 0.5)
        assert seen is not None
        frames[4] = FrameDetections(4, 0.8, (seen,))

        assert not self.tracks(self.follow(new_tracker, frames, 5))

    def test_a_video_without_frames_has_no_tracks(self, new_tracker: TrackerFactory) -> None:
        assert not new_tracker(0.2, TRACK_CONFIDENCE).finish()
