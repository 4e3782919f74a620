from itertools import combinations

import cv2
import numpy as np
import pytest

from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.tracking import TrackedFrame
from vidintel.infrastructure.media.drawing import colour_of, draw_detections, encode_jpeg

GREY = np.full((200, 300, 3), 90, dtype=np.uint8)


def drawn(*boxes: BoundingBox, track_id: int | None = None) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    found = tuple(Detection("car", 0.5, box) for box in boxes)
    return draw_detections(GREY, TrackedFrame(FrameDetections(0, 0.0, found), (track_id,) * len(found)))


def test_the_edges_of_a_box_are_drawn_and_its_inside_is_not() -> None:
    image = drawn(BoundingBox(0.2, 0.3, 0.6, 0.8))

    for y, x in ((100, 60), (100, 180), (160, 120)):
        assert tuple(image[y, x]) == colour_of("car")
    assert tuple(image[110, 120]) == (90, 90, 90)
    assert (GREY == 90).all(), "the given picture stays as it was"


@pytest.mark.parametrize(
    "box",
    [
        BoundingBox(0.0, 0.0, 1.0, 1.0),
        BoundingBox(0.98, 0.0, 1.0, 0.02),
        BoundingBox(0.5, 0.99, 0.5, 0.99),
        BoundingBox(0.0, 0.0, 0.0, 0.0),
    ],
)
def test_boxes_at_the_rim_are_drawn_within_the_picture(box: BoundingBox) -> None:
    image = drawn(box)
    assert image.shape == GREY.shape
    assert (image != 90).any()


def test_without_detections_the_picture_stays_as_it_is() -> None:
    assert np.array_equal(drawn(), GREY)


def test_the_caption_names_the_track() -> None:
    box = BoundingBox(0.2, 0.3, 0.6, 0.8)
    pictures = [drawn(box), drawn(box, track_id=1), drawn(box, track_id=2)]

    assert not any(np.array_equal(one, other) for one, other in combinations(pictures, 2))


def test_a_label_has_one_colour() -> None:
    assert colour_of("car") == colour_of("car")
    assert len({colour_of(label) for label in ("car", "truck", "person")}) == 3


def test_a_jpeg_can_be_read_back() -> None:
    image = cv2.imdecode(np.frombuffer(encode_jpeg(GREY), dtype=np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == GREY.shape
