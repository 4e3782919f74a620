"""`BlockFrameDifferencer`: whether two frames differ anywhere by more than noise."""

import cv2
import numpy as np

from vidintel.application.ports import Image
from vidintel.infrastructure.media.thumbnails import thumbnail

_SKETCH_SIZE = (160, 90)
_BLOCK = (3, 3)
_ALIKE_MOST = 12.0
"""Of 255. Chosen in docs/accuracy.md: noise of compression stays below it, a person of 12 pixels in 640 does not."""


class BlockFrameDifferencer:
    """Implements `FrameDifferencer`: sketches of 160 × 90 pixels are alike when no block of 3 × 3 changed much."""

    def sketch(self, image: Image) -> Image:
        return thumbnail(image, *_SKETCH_SIZE)

    def is_alike(self, before: Image, after: Image) -> bool:
        """Whether the strongest channel's change, averaged over each block, is small everywhere."""
        change = cv2.absdiff(before, after).max(axis=2).astype(np.float32)
        return float(cv2.blur(change, _BLOCK).max()) <= _ALIKE_MOST
