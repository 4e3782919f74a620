"""Appearance embeddings: nine colours that hardly depend on the light."""

import numpy as np
import pytest

from vidintel.domain.detection import BoundingBox
from vidintel.infrastructure.media.appearance import ColourGridEncoder
from vidintel.infrastructure.tracking.tracklets import difference

BOX = BoundingBox(0.25, 0.25, 0.75, 0.75)


def picture(*colours: tuple[int, int, int], light: float = 1.0) -> np.ndarray:
    """Bands of colour from left to right inside `BOX`, on grey."""
    image = np.full((120, 160, 3), 128, np.uint8)
    for place, colour in enumerate(colours):
        left = 40 + 80 * place // len(colours)
        right = 40 + 80 * (place + 1) // len(colours)
        image[30:90, left:right] = np.array(colour) * light
    return image


def embedding(image: np.ndarray, box: BoundingBox = BOX) -> np.ndarray:
    (appearance,) = ColourGridEncoder().encode(image, [box])
    return np.frombuffer(appearance, np.uint8).astype(np.float64)


RED, BLUE, WHITE = (30, 30, 200), (200, 60, 30), (230, 230, 230)


def test_an_embedding_is_three_by_three_logarithms_of_colours() -> None:
    seen = embedding(picture((0, 10, 245), (255, 255, 255))).reshape(3, 3, 3)

    logarithm = {value: round(60 * np.log((value + 10) / 10)) for value in (0, 10, 245, 255)}
    for row in range(3):
        assert seen[row, 0].tolist() == [logarithm[0], logarithm[10], logarithm[245]]
        assert seen[row, 2].tolist() == [logarithm[255]] * 3


def test_the_same_object_in_shade_differs_less_than_another_one() -> None:
    in_sun = embedding(picture(RED, WHITE, RED))
    in_shade = embedding(picture(RED, WHITE, RED, light=0.6))

    assert difference(in_sun, in_sun) == 0
    assert difference(in_sun, in_shade) < 12
    assert difference(in_sun, embedding(picture(BLUE, WHITE, BLUE))) > 25
    assert difference(in_sun, embedding(picture(WHITE, RED, WHITE))) > 25


def test_the_background_of_the_box_does_not_matter() -> None:
    image = picture(RED)
    other = image.copy()
    other[:30], other[90:], other[:, :40], other[:, 120:] = 0, 255, 0, 255

    assert (embedding(image) == embedding(other)).all()


@pytest.mark.parametrize(
    "box",
    [
        BoundingBox(0.0, 0.0, 1.0, 1.0),
        BoundingBox(0.999, 0.999, 1.0, 1.0),
        BoundingBox(0.5, 0.5, 0.5, 0.5),
        BoundingBox(0.0, 0.0, 0.0, 1.0),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (360, 640)])
def test_any_box_of_any_picture_has_an_embedding(size: tuple[int, int], box: BoundingBox) -> None:
    image = np.full((*size, 3), 7, np.uint8)

    assert ColourGridEncoder().encode(image, [box, box]) == [bytes([round(60 * np.log(1.7))] * 27)] * 2


def test_no_boxes_give_no_embeddings() -> None:
    assert ColourGridEncoder().encode(np.zeros((4, 4, 3), np.uint8), []) == []
