"""`HsvColourHistogram`: a histogram of a picture's colours with 18 bins."""

import cv2
import numpy as np
from numpy.typing import NDArray

from vidintel.application.ports import Image
from vidintel.infrastructure.media.thumbnails import thumbnail

_SIDE_PX = 64
_HUES, _GREYS = 12, 6
_DULL, _COLOURFUL = 32.0, 96.0
_SHARE = 16


class HsvColourHistogram:
    """Implements `ColourHistogram` with 6 bins of brightness and 12 of hue, of the picture at 64 × 64 pixels.

    A colourful pixel (high saturation and brightness) counts for its hue, a grey or dark one for its brightness, and
    one in between for both. A pixel between two bins is shared by them according to its distance from each, so a small
    change of light changes the histogram only a little.
    """

    def counts(self, image: Image) -> tuple[int, ...]:
        """See `ColourHistogram.counts`. Counts are sixteenths of pixels: brightness from dark to light, then hue."""
        small = thumbnail(image, _SIDE_PX, _SIDE_PX)
        hue, saturation, value = cv2.cvtColor(small, cv2.COLOR_BGR2HSV).reshape(-1, 3).astype(np.float64).T
        coloured = np.clip((np.minimum(saturation, value) - _DULL) / (_COLOURFUL - _DULL), 0.0, 1.0)
        greys = _spread(value * (_GREYS - 1) / 255.0, 1.0 - coloured, _GREYS)
        hues = _spread(hue * _HUES / 180.0, coloured, _HUES)
        return tuple(int(each) for each in np.rint(np.concatenate([greys, hues]) * _SHARE))


def _spread(places: NDArray[np.float64], weights: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """The sum of ``weights`` in each bin. Two neighbouring bins share a weight; the last neighbours the first."""
    low = np.floor(places).astype(np.int64)
    share = places - low
    counted = np.bincount(low % bins, weights * (1.0 - share), bins) + np.bincount(
        (low + 1) % bins, weights * share, bins
    )
    return np.asarray(counted, np.float64)
