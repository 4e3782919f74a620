"""Detections get the appearance that their object has in the picture it was seen in."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from tests.support.factories import make_detection
from vidintel.application.pipeline.appearance import Appearances
from vidintel.application.ports import Frame, Image
from vidintel.domain.detection import BoundingBox, FrameDetections


class BrightnessLooks:
    def appearances(self, image: Image, boxes: Sequence[BoundingBox]) -> Sequence[bytes]:
        return [bytes([image.flat[0], place]) for place in range(len(boxes))]


def detect(frames: Iterator[Frame], read_ahead: int, skipped: int) -> Iterator[FrameDetections]:
    waiting: list[Frame] = []
    for frame in frames:
        if frame.index != skipped:
            waiting.append(frame)
        if len(waiting) > read_ahead:
            yield seen_in(waiting.pop(0))
    yield from map(seen_in, waiting)


def seen_in(frame: Frame) -> FrameDetections:
    return FrameDetections(frame.index, frame.time_s, (make_detection(),) * (frame.index % 3))


@pytest.mark.parametrize("read_ahead", [0, 1, 4, 20])
def test_each_detection_is_measured_in_its_own_picture_however_far_the_detector_reads_ahead(read_ahead: int) -> None:
    frames = [Frame(index, index / 10, np.full((2, 2, 3), 10 * index, np.uint8)) for index in range(10)]
    appearances = Appearances(BrightnessLooks())

    found = list(appearances.measured(detect(appearances.kept(iter(frames)), read_ahead, skipped=5)))

    assert [seen.frame for seen in found] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert [[one.appearance for one in seen.detections] for seen in found] == [
        [bytes([10 * seen.frame, place]) for place in range(seen.frame % 3)] for seen in found
    ]
