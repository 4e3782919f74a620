"""`MotionTracker` keeps the contract, and what is its own beyond it."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.tracker_contract import TRACK_CONFIDENCE, Mover, TrackerContract, detection, scene
from vidintel.application.ports import TrackerFactory
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.tracking import LiveTracks
from vidintel.infrastructure.tracking.tracker import MotionTracker


class TestMotionTracker(TrackerContract):
    @pytest.fixture
    def new_tracker(self) -> TrackerFactory:
        return MotionTracker

    def test_a_track_never_comes_back_after_longer_than_the_tracker_says(self, new_tracker: TrackerFactory) -> None:
        """Frames far apart, as in time lapse: one that missed a frame is still there."""
        parked, other = (
            Detection("car", 0.9, BoundingBox(0.2, 0.2, 0.3, 0.3)),
            Detection("car", 0.9, BoundingBox(0.7, 0.7, 0.8, 0.8)),
        )
        times = [0.0, 14.0, 20.0, 60.0, 100.0, 140.0]
        frames = [FrameDetections(n, time_s, (other if n == 1 else parked,)) for n, time_s in enumerate(times)]
        tracker = new_tracker(140 / 6, TRACK_CONFIDENCE)
        live = LiveTracks(tracker.memory_s)

        decided = [each for frame in frames for each in tracker.update(frame)] + [*tracker.finish()]
        tracks = [track for each in decided for track in live.add(each)] + live.close()

        assert len({track.track_id for track in tracks}) == len(tracks)

    @pytest.mark.parametrize("fps", [5, 25])
    def test_objects_that_pass_each_other_keep_their_tracks(self, new_tracker: TrackerFactory, fps: float) -> None:
        movers: list[Mover] = [("person", 0.2, 0.48, 0.1, 0.0), ("person", 0.8, 0.52, -0.1, 0.0)]

        tracked = self.follow(new_tracker, scene(movers, fps), fps)

        by_object = [[frame.track_ids[place] for frame in tracked] for place in (0, 1)]
        assert [{one for one in ids if one is not None} for ids in by_object] == [{1}, {2}]

    def test_a_second_box_on_the_same_object_is_no_second_track(self, new_tracker: TrackerFactory) -> None:
        frames = [
            FrameDetections(
                frame.frame,
                frame.time_s,
                tuple(twin for one in frame.detections for twin in (one, Detection("truck", 0.7, one.box))),
            )
            for frame in scene([("car", 0.1, 0.5, 0.12, 0.0)], 5)
        ]

        assert set(self.tracks(self.follow(new_tracker, frames, 5))) == {1}

    def test_one_that_comes_the_other_way_is_not_the_one_that_left(self, new_tracker: TrackerFactory) -> None:
        frames = scene([("car", 0.6, 0.5, 0.2, 0.0), ("car", 1.4, 0.5, -0.2, 0.0)], 5)

        assert set(self.tracks(self.follow(new_tracker, frames, 5))) == {1, 2}

    def test_one_that_comes_out_where_another_is_being_covered_is_another(self, new_tracker: TrackerFactory) -> None:
        """Both come to a bridge from either side, and look at its edge like one that turns round."""
        frames = []
        ours: list[int | None] = []
        theirs: list[int | None] = []
        for index in range(75):
            time_s = index / 25
            left, right = 0.2 + 0.2 * time_s, 0.8 - 0.2 * time_s
            seen = {}
            for name, x in (("ours", left), ("theirs", right)):
                # the bridge is from 0.5 to 0.62; confidence fades in front of it
                confidence = min(0.9, 20 * max(0.5 - x, x - 0.62))
                if confidence > 0.1:
                    box = BoundingBox(x - 0.06, 0.45, x + 0.06, 0.55)
                    seen[name] = Detection("car", confidence, box)
            for name, places in (("ours", ours), ("theirs", theirs)):
                is_sure = name in seen and seen[name].confidence >= 0.6
                places.append(list(seen).index(name) if is_sure else None)
            frames.append(FrameDetections(index, time_s, tuple(seen.values())))

        tracked = self.follow(new_tracker, frames, 25)

        found = [
            {tracked[number].track_ids[place] for number, place in enumerate(places) if place is not None} - {None}
            for places in (ours, theirs)
        ]
        assert found == [{1}, {2}]

    @pytest.mark.parametrize("fps", [5, 25])
    def test_one_that_comes_in_where_another_left_is_another(self, new_tracker: TrackerFactory, fps: float) -> None:
        frames = scene([("person", 0.5, 0.3, 0.0, -0.1), ("person", 0.53, -0.35, 0.0, 0.1)], fps)

        assert set(self.tracks(self.follow(new_tracker, frames, fps))) == {1, 2}

    @pytest.mark.parametrize("fps", [5, 25])
    def test_one_that_leaves_slowly_has_left_as_well(self, new_tracker: TrackerFactory, fps: float) -> None:
        """Both walk along the upper edge at the same pace; one drifts out of the picture, another one in."""
        ours, theirs = ("person", 0.7, 0.06, -0.06, -0.0125), ("person", 0.7, -0.10875, -0.06, 0.0125)

        tracked = self.follow(new_tracker, scene([ours, theirs], fps, seconds=11), fps)

        assert set(self.tracks(tracked)) == {1, 2}

    @pytest.mark.parametrize("fps", [5, 25])
    def test_one_that_drives_along_the_edge_of_the_picture_is_one(
        self, new_tracker: TrackerFactory, fps: float
    ) -> None:
        frames = []
        for index in range(round(6 * fps)):
            time_s = index / fps
            seen = detection("car", 0.1 + 0.12 * time_s, 0.95 + 0.02 * math.sin(3 * time_s))
            assert seen
            frames.append(FrameDetections(index, time_s, (seen,)))

        assert set(self.tracks(self.follow(new_tracker, frames, fps))) == {1}

    def test_what_covers_an_object_does_not_keep_it_from_coming_out(self, new_tracker: TrackerFactory) -> None:
        """For a moment both are seen: faintly where the object went in, and clearly where it comes out."""
        frames = []
        for frame in scene([("person", 0.2, 0.5, 0.1, 0.0)], 5):
            (seen,) = frame.detections
            behind = detection("person", 0.4, 0.5, confidence=0.2, size=0.08)
            ahead = detection("person", 0.47, 0.5, confidence=0.6, size=0.06)
            later = detection("person", 0.26 + 0.1 * frame.time_s, 0.5)
            assert behind
            assert ahead
            assert later
            covered = {10: (behind,), 11: (behind, ahead)}
            frames.append(replace(frame, detections=covered.get(frame.frame, (seen if frame.frame < 10 else later,))))

        tracked = self.follow(new_tracker, frames, 5)

        assert [one.track_ids for one in tracked if one.frame.frame not in {10, 11}] == [(1,)] * 28
        assert tracked[11].track_ids == (None, 1)

    @pytest.mark.parametrize("fps", [5, 25])
    def test_a_fast_one_whose_label_flickers_is_one(self, new_tracker: TrackerFactory, fps: float) -> None:
        frames = []
        for index in range(round(3 * fps)):
            seen = detection(("car", "truck")[index % 2], 0.1 + 0.25 * index / fps, 0.5, size=0.08)
            assert seen
            frames.append(FrameDetections(index, index / fps, (seen,)))

        assert set(self.tracks(self.follow(new_tracker, frames, fps))) == {1}

    def test_a_truck_that_comes_out_where_a_car_is_being_covered_is_another(self, new_tracker: TrackerFactory) -> None:
        frames = []
        for index in range(30):
            time_s = index / 5
            car = detection("car", 0.8 - 0.1 * time_s, 0.45, size=0.14)
            truck = detection("truck", 0.2 + 0.1 * time_s, 0.5, confidence=0.8, size=0.2)
            assert car
            assert truck
            frames.append(FrameDetections(index, time_s, (car,) if time_s < 2.6 else (truck,)))

        tracks = self.tracks(self.follow(new_tracker, frames, 5))

        assert [{label for _, label in seen} for seen in tracks.values()] == [{"car"}, {"truck"}]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(["car", "person"]), st.integers(1, 9), st.integers(1, 9), st.integers(0, 10)),
            max_size=4,
        ),
        max_size=25,
    )
)
def test_whatever_is_seen_each_frame_comes_back_and_no_track_is_twice_in_one(
    seen: list[list[tuple[str, int, int, int]]],
) -> None:
    tracker = MotionTracker(0.2)
    frames = []
    for index, listed in enumerate(seen):
        boxes = scene([(label, x / 10, y / 10, 0.0, 0.0) for label, x, y, _ in listed], 1, seconds=1)[0].detections
        detections = tuple(
            Detection(one.label, confidence / 10, one.box) for one, (*_, confidence) in zip(boxes, listed, strict=True)
        )
        frames.append(FrameDetections(index, index / 5, detections))

    tracked = [decided for frame in frames for decided in tracker.update(frame)]
    tracked += tracker.finish()

    assert [one.frame for one in tracked] == frames
    first_seen: dict[int, None] = {}
    for one in tracked:
        ids = [track_id for track_id in one.track_ids if track_id is not None]
        assert len(set(ids)) == len(ids)
        first_seen.update(dict.fromkeys(ids))
    assert list(first_seen) == list(range(1, len(first_seen) + 1))


def test_noise_does_not_pile_up() -> None:
    """What was seen only once could be continued later; where there is much of it, it is given up at once."""
    tracker, places = MotionTracker(1 / 5, TRACK_CONFIDENCE), random.Random(7)
    decided = 0
    for index in range(40):
        corners = [(places.random() * 0.9, places.random() * 0.9) for _ in range(40)]
        seen = tuple(Detection("person", 0.9, BoundingBox(x, y, x + 0.004, y + 0.004)) for x, y in corners)
        decided += len(tracker.update(FrameDetections(index, index / 5, seen)))
        assert index + 1 - decided <= 2 * 5
