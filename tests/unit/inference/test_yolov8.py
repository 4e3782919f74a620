import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vidintel.domain.detection import BoundingBox
from vidintel.infrastructure.inference.yolov8 import MAX_DETECTIONS, STRIDE, Letterbox, Suppression, suppress

LABEL_COUNT = 3


def output_of(*rows: tuple[tuple[float, float, float, float], tuple[float, ...]]) -> NDArray[np.float32]:
    """A network's output: per row a box (``xyxy``) and its score for each class."""
    columns = []
    for (x1, y1, x2, y2), scores in rows:
        columns.append([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, *scores])
    return np.array(columns, dtype=np.float32).reshape(-1, 4 + LABEL_COUNT).T


@pytest.mark.parametrize(
    ("picture", "target", "tight", "canvas", "corner"),
    [
        ((432, 768), (640, 640), False, (640, 640), (140, 0)),
        ((432, 768), (640, 640), True, (384, 640), (12, 0)),
        ((1080, 1920), (640, 640), True, (384, 640), (12, 0)),
        ((1920, 1080), (320, 320), True, (320, 192), (0, 6)),
        ((333, 500), (320, 320), False, (320, 320), (53, 0)),  # 107 spare rows: 53 above, 54 below
        ((100, 100), (320, 320), True, (320, 320), (0, 0)),
    ],
)
def test_letterbox_scales_and_centres(
    picture: tuple[int, int], target: tuple[int, int], tight: bool, canvas: tuple[int, int], corner: tuple[int, int]
) -> None:
    letterbox = Letterbox.fit(picture, target, tight=tight)

    assert letterbox.canvas == canvas
    assert (letterbox.top, letterbox.left) == corner
    image = np.empty((*canvas, 3), dtype=np.uint8)
    letterbox.blank(image)
    for value in (200, 7):
        letterbox.draw(np.full((*picture, 3), value, dtype=np.uint8), image)
    assert (image == 7).all(axis=2).sum() == letterbox.scaled[0] * letterbox.scaled[1]
    assert (image[image != 7] == 114).all()


@settings(deadline=None)
@given(st.integers(2, 4000), st.integers(2, 4000), st.booleans())
def test_a_box_around_everything_comes_back_as_everything(height: int, width: int, tight: bool) -> None:
    letterbox = Letterbox.fit((height, width), (320, 320), tight=tight)
    bottom, right = letterbox.top + letterbox.scaled[0], letterbox.left + letterbox.scaled[1]
    boxes = np.array([[letterbox.left, letterbox.top, right, bottom], [-50.0, -50.0, 900.0, 900.0]])

    whole, beyond = letterbox.on_picture(boxes)

    assert whole == pytest.approx([0, 0, 1, 1], abs=1 / letterbox.scaled[0] + 1 / letterbox.scaled[1])
    BoundingBox(*map(float, beyond))
    if tight:
        assert all(side % STRIDE == 0 for side in letterbox.canvas)


def test_the_best_class_counts_and_has_to_exceed_the_threshold() -> None:
    output = output_of(((0, 0, 10, 10), (0.1, 0.6, 0.2)), ((50, 50, 60, 60), (0.5, 0.1, 0.1)))

    boxes, confidences, classes = Suppression(0.5, 0.7).keep(output)

    assert classes.tolist() == [1]
    assert confidences.tolist() == pytest.approx([0.6])
    assert boxes.tolist() == [[0, 0, 10, 10]]


def test_a_box_is_suppressed_by_a_better_one_of_its_class_only() -> None:
    output = output_of(
        ((0, 0, 10, 10), (0.7, 0, 0)),
        ((0, 0, 10, 9), (0.9, 0, 0)),
        ((0, 0, 10, 10), (0, 0.8, 0)),
        ((40, 0, 50, 10), (0.6, 0, 0)),
    )

    _, confidences, classes = Suppression(0.25, 0.7).keep(output)

    assert classes.tolist() == [0, 1, 0]
    assert confidences.tolist() == pytest.approx([0.9, 0.8, 0.6])


def test_wanted_classes_are_chosen_by_the_best_class() -> None:
    """A box that looks most like class 1 is not reported as class 0, though it resembles that as well."""
    output = output_of(((0, 0, 10, 10), (0.5, 0.6, 0)), ((40, 0, 50, 10), (0.4, 0, 0)))

    _, _, classes = Suppression(0.25, 0.7, np.array([0])).keep(output)

    assert classes.tolist() == [0]


def test_an_overlap_of_just_the_threshold_is_kept() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], dtype=np.float64)
    classes = np.zeros(2, dtype=np.int64)

    assert suppress(boxes, classes, 0.5).tolist() == [0, 1]
    assert suppress(boxes, classes, 0.49).tolist() == [0]


def test_no_more_than_the_maximum_is_kept() -> None:
    lefts = np.arange(1000, dtype=np.float64) * 20
    boxes = np.stack((lefts, lefts * 0, lefts + 10, lefts * 0 + 10), axis=1)

    assert suppress(boxes, np.zeros(1000, dtype=np.int64), 0.5).tolist() == list(range(MAX_DETECTIONS))


def test_an_empty_output_gives_nothing() -> None:
    boxes, confidences, classes = Suppression(0.25, 0.7).keep(output_of())
    assert boxes.shape == (0, 4)
    assert confidences.size == classes.size == 0
