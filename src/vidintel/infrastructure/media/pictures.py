"""From a decoded frame to the picture as it is displayed: upright, with square pixels, BGR."""

import struct
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame

from vidintel.application.ports import Image


@dataclass(frozen=True, slots=True)
class Orientation:
    """How the stored picture is turned to be displayed: transposed first, then mirrored."""

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> "Orientation":
        """From the display matrix: ``(a b u; c d v; x y w)`` puts the pixel (x, y) at (a·x + c·y, b·x + d·y)."""
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if not isinstance(matrix, SideData):
            return cls()
        a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(transposed=False, upside_down=d < 0, mirrored=a < 0)
        return cls(transposed=True, upside_down=b < 0, mirrored=c < 0)

    @property
    def rotation(self) -> int:
        """Degrees clockwise: 0, 90, 180 or 270. A mirror image counts as mirrored left to right, then turned."""
        if self.transposed:
            return 270 if self.upside_down else 90
        return 180 if self.upside_down else 0

    def apply(self, image: Image) -> Image:
        if self.transposed:
            image = np.asarray(cv2.transpose(image), dtype=np.uint8)
        if not (self.upside_down or self.mirrored):
            return image
        axes = -1 if self.upside_down and self.mirrored else int(self.mirrored)
        return np.asarray(cv2.flip(image, axes), dtype=np.uint8)


def displayed_size(width: int, height: int, pixel_aspect: Fraction | None, orientation: Orientation) -> tuple[int, int]:
    """(width, height) in pixels on a screen, of a stored picture of ``width`` × ``height``."""
    width = _square(width, pixel_aspect)
    return (height, width) if orientation.transposed else (width, height)


def upright(frame: VideoFrame, pixel_aspect: Fraction | None) -> Image:
    """The picture as displayed, contiguous. ``pixel_aspect`` is the width of a pixel by its height."""
    pixels = frame.to_ndarray(format="bgr24", width=_square(frame.width, pixel_aspect), height=frame.height)
    return np.ascontiguousarray(Orientation.of(frame).apply(np.asarray(pixels, dtype=np.uint8)))


def _square(width: int, pixel_aspect: Fraction | None) -> int:
    return max(1, round(width * pixel_aspect)) if pixel_aspect else width
