"""`ColourGridEncoder`: appearance embeddings of nine colours each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidintel.application.ports import Image
from vidintel.domain.detection import BoundingBox

GRID = 3
_SAMPLES = 3
"""Pixels sampled along each side of one field of the grid."""
_MARGIN = 1 / 6
"""The share of a box left out on each side, where it shows mostly background."""
_DARKEST = 10.0
_PLACES = _MARGIN + (1 - 2 * _MARGIN) * (np.arange(GRID * _SAMPLES) + 0.5) / (GRID * _SAMPLES)
_LOGARITHMS = np.round(60.0 * np.log((np.arange(256) + _DARKEST) / _DARKEST)).astype(np.uint8)


class ColourGridEncoder:
    """Implements `AppearanceEncoder`: the middle of the box as 3 × 3 fields, each its mean blue, green and red.

    The values are logarithms, ``60 · ln((v + 10) / 10)`` for a channel of 0..255, so brighter or darker light on an
    object adds about the same to all of them. An embedding has 27 bytes.
    """

    def encode(self, image: Image, boxes: Sequence[BoundingBox]) -> Sequence[bytes]:
        """See `AppearanceEncoder.encode`."""
        if not boxes:
            return []
        corners = np.array([(box.x1, box.y1, box.x2, box.y2) for box in boxes])
        columns = _pixels(corners[:, 0], corners[:, 2], image.shape[1])
        rows = _pixels(corners[:, 1], corners[:, 3], image.shape[0])
        samples = _LOGARITHMS[image[rows[:, :, None], columns[:, None, :]]]
        fields = samples.reshape(len(boxes), GRID, _SAMPLES, GRID, _SAMPLES, 3).mean(axis=(2, 4))
        return [each.tobytes() for each in np.round(fields).astype(np.uint8)]


def _pixels(low: NDArray[np.float64], high: NDArray[np.float64], length: int) -> NDArray[np.intp]:
    """Where the samples of each box lie, in pixels: (boxes, samples)."""
    places = (low[:, None] + (high - low)[:, None] * _PLACES) * length
    return np.clip(places.astype(np.intp), 0, length - 1)
