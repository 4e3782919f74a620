"""What every frame stage keeps: one answer for each frame, in order, as they come, in bounded memory."""

import weakref
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from tests.support.factories import make_detection
from vidintel.application.pipeline.frames import FrameStage, SegmentFindings, detect_through
from vidintel.application.ports import Frame
from vidintel.domain.detection import FrameDetections


def make_frame(index: int, brightness: int, group: int = 0) -> Frame:
    return Frame(index, index / 10, np.full((2, 2, 3), brightness, np.uint8), group)


def seen_in(frame: Frame) -> FrameDetections:
    """Up to two detections, which tell the frame by their confidence."""
    return FrameDetections(
        frame.index, frame.time_s, (make_detection(confidence=frame.index / 100),) * (frame.index % 3)
    )


def reading_ahead(count: int) -> Callable[[Iterator[Frame]], Iterator[FrameDetections]]:
    """A detector that has up to ``count`` frames in work when it gives an answer."""

    def detect(frames: Iterator[Frame]) -> Iterator[FrameDetections]:
        in_work: list[Frame] = []
        for frame in frames:
            in_work.append(frame)
            del frame  # in work, or done with
            if len(in_work) > count:
                yield seen_in(in_work.pop(0))
        while in_work:
            yield seen_in(in_work.pop(0))

    return detect


class FrameStageContract:
    @pytest.fixture
    def new_stage(self) -> Callable[[], FrameStage]:
        """Makes the stage of one segment."""
        raise NotImplementedError

    @pytest.fixture
    def frames(self) -> Sequence[Frame]:
        """Frames that differ from one another, in two groups."""
        return [make_frame(index, 50 * (index % 5), group=index // 10) for index in range(20)]

    @pytest.mark.parametrize("read_ahead", [0, 1, 4, 50])
    def test_every_frame_has_its_answer_in_presentation_order(
        self, new_stage: Callable[[], FrameStage], frames: Sequence[Frame], read_ahead: int
    ) -> None:
        found = list(detect_through([new_stage()], iter(frames), reading_ahead(read_ahead)))

        assert [(each.frame, each.time_s) for each in found] == [(each.index, each.time_s) for each in frames]

    def test_the_outcome_does_not_depend_on_how_far_the_detector_reads_ahead(
        self, new_stage: Callable[[], FrameStage], frames: Sequence[Frame]
    ) -> None:
        outcomes = []
        for count in (0, 1, 4, 50):
            stage = new_stage()
            found = list(detect_through([stage], iter(frames), reading_ahead(count)))
            outcomes.append((found, stage.add_findings(SegmentFindings())))

        assert all(each == outcomes[0] for each in outcomes)

    def test_answers_come_while_frames_are_read_and_no_frame_is_kept_for_longer_than_the_detector_needs_it(
        self, new_stage: Callable[[], FrameStage]
    ) -> None:
        read_ahead, images = 3, list[weakref.ref[np.ndarray]]()

        def decoded() -> Iterator[Frame]:
            for index in range(30):
                frame = make_frame(index, 50 * (index % 5))
                images.append(weakref.ref(frame.image))
                yield frame
                del frame

        for answers, _ in enumerate(detect_through([new_stage()], decoded(), reading_ahead(read_ahead)), start=1):
            assert len(images) <= answers + read_ahead
            assert sum(image() is not None for image in images) <= read_ahead + 1

    def test_a_segment_without_frames_has_findings_too(self, new_stage: Callable[[], FrameStage]) -> None:
        stage = new_stage()

        assert list(detect_through([stage], iter(()), reading_ahead(1))) == []
        assert stage.add_findings(SegmentFindings()) == SegmentFindings()

    def test_findings_of_others_are_kept(self, new_stage: Callable[[], FrameStage], frames: Sequence[Frame]) -> None:
        stage = new_stage()
        found = list(detect_through([stage], iter(frames), reading_ahead(1)))

        assert stage.add_findings(SegmentFindings(found)).frames == found
