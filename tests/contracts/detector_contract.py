"""What every `Detector` does. A subclass per adapter gives the ``detector`` and ``frames`` fixtures."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from vidintel.application.ports import Detector, Frame
from vidintel.domain.detection import FrameDetections
from vidintel.domain.errors import UnknownLabel

READ_AHEAD_MAX = 64


def seen_by(
    detector: Detector,
    frames: Sequence[Frame],
    min_confidence: float = 0.2,
    iou_threshold: float = 0.7,
    labels: tuple[str, ...] | None = None,
) -> list[FrameDetections]:
    found = detector.detect(frames, min_confidence=min_confidence, iou_threshold=iou_threshold, labels=labels)
    return list(found)


class DetectorContract:
    @pytest.fixture
    def detector(self) -> Detector:
        raise NotImplementedError

    @pytest.fixture
    def frames(self) -> Sequence[Frame]:
        """At least four frames in which the detector sees something, of more than one label together."""
        raise NotImplementedError

    def test_says_what_it_is(self, detector: Detector) -> None:
        info = detector.info
        assert info.name
        assert info.version
        assert info.labels
        assert info.licence
        assert len(info.sha256) == 64
        assert all(side > 0 for side in info.input_size)

    def test_each_frame_is_answered_in_order(self, detector: Detector, frames: Sequence[Frame]) -> None:
        found = seen_by(detector, frames)

        assert [(each.frame, each.time_s) for each in found] == [(frame.index, frame.time_s) for frame in frames]
        assert any(each.detections for each in found)

    def test_detections_are_known_labels_best_first(self, detector: Detector, frames: Sequence[Frame]) -> None:
        for found in seen_by(detector, frames):
            confidences = [each.confidence for each in found.detections]
            assert confidences == sorted(confidences, reverse=True)
            assert all(each.label in detector.info.labels and each.confidence > 0.2 for each in found.detections)

    def test_no_frames_give_no_answer(self, detector: Detector) -> None:
        assert seen_by(detector, []) == []

    def test_confidence_has_to_exceed_the_least_wanted(self, detector: Detector, frames: Sequence[Frame]) -> None:
        everything = seen_by(detector, frames)
        middle = sorted(each.confidence for found in everything for each in found.detections)
        limit = middle[len(middle) // 2]

        stricter = seen_by(detector, frames, min_confidence=limit)

        assert all(each.confidence > limit for found in stricter for each in found.detections)
        assert len(stricter) == len(everything)

    def test_labels_limit_what_is_reported(self, detector: Detector, frames: Sequence[Frame]) -> None:
        everything = seen_by(detector, frames)
        label = next(each.label for found in everything for each in found.detections)

        limited = seen_by(detector, frames, labels=(label,))

        assert [[each for each in found.detections if each.label == label] for found in everything] == [
            list(found.detections) for found in limited
        ]

    def test_an_unknown_label_is_refused(self, detector: Detector, frames: Sequence[Frame]) -> None:
        with pytest.raises(UnknownLabel):
            seen_by(detector, frames, labels=("unicorn",))

    def test_the_answer_depends_on_the_frame_alone(self, detector: Detector, frames: Sequence[Frame]) -> None:
        together = {each.frame: each for each in seen_by(detector, frames)}
        backwards = {each.frame: each for each in seen_by(detector, frames[::-1])}
        alone = {frame.index: seen_by(detector, [frame])[0] for frame in frames}

        assert together == backwards == alone

    def test_several_threads_get_the_same_answers(self, detector: Detector, frames: Sequence[Frame]) -> None:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: seen_by(detector, frames), range(4)))

        assert all(answer == answers[0] for answer in answers)

    def test_an_error_of_the_source_passes_through(self, detector: Detector, frames: Sequence[Frame]) -> None:
        def source() -> Iterator[Frame]:
            yield from frames[:2]
            raise ConnectionResetError("gone")

        with pytest.raises(ConnectionResetError, match="gone"):
            list(detector.detect(source(), min_confidence=0.2, iou_threshold=0.7))
        assert seen_by(detector, frames)

    def test_it_may_be_left_early_and_reads_a_bounded_number_ahead(
        self, detector: Detector, frames: Sequence[Frame]
    ) -> None:
        taken = 0

        def endless() -> Iterator[Frame]:
            nonlocal taken
            while True:
                taken += 1
                yield frames[taken % len(frames)]

        found = detector.detect(endless(), min_confidence=0.2, iou_threshold=0.7)
        next(found)
        del found

        assert taken <= READ_AHEAD_MAX
        assert seen_by(detector, frames)
