"""`BlockFrameDifferencer`: compares two frames block by block."""

import cv2
import numpy as np

from vidintel.application.ports import Image
from vidintel.infrastructure.media.thumbnails import thumbnail

_THUMBNAIL_SIZE = (160, 90)
_BLOCK = (3, 3)
_MAX_CHANGE = 12.0
"""Of 255. Chosen in docs/accuracy.md: compression noise stays below it, a person 12 pixels wide in 640 does not."""


class BlockFrameDifferencer:
    """Implements `FrameDifferencer`: thumbnails of 160 × 90 pixels are similar when no block of 3 × 3 changed much."""

    def thumbnail(self, image: Image) -> Image:
        """See `FrameDifferencer.thumbnail`."""
        return thumbnail(image, *_THUMBNAIL_SIZE)

    def is_similar(self, before: Image, after: Image) -> bool:
        """See `FrameDifferencer.is_similar`: the change of the most changed channel, averaged over each block."""
        change = cv2.absdiff(before, after).max(axis=2).astype(np.float32)
        return float(cv2.blur(change, _BLOCK).max()) <= _MAX_CHANGE
