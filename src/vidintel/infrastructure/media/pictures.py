"""From a decoded frame to the picture as it is displayed: upright, with square pixels, BGR."""

import struct
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame

from vidintel.application.ports import Image
from vidintel.infrastructure.media.deinterlacing import Deinterlacer, combed_blocks, without_combs
from vidintel.infrastructure.media.tone_mapping import ColourSpace, ToneMapping

# Without a word about its matrix, a picture of high definition is taken as BT.709, and a smaller one as BT.601.
_UNSPECIFIED, _BT709 = 2, 1
_HD_WIDTH, _HD_HEIGHT = 1280, 720


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


def displayed_size(width: int, height: int, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """(width, height) with square pixels, before it is turned, of a stored picture of ``width`` × ``height``."""
    return (max(1, round(width * pixel_aspect)) if pixel_aspect else width), height


class Screen:
    """Shows the frames of one video: upright, in its declared size, without combs, in sRGB.

    ``width`` and ``height`` are those of the stored picture; a frame of another size is scaled to them, as a player
    keeps its window. ``pixel_aspect`` is the width of a pixel by its height. Not for several threads at once.
    """

    def __init__(self, width: int, height: int, pixel_aspect: Fraction | None) -> None:
        self._stored = width, height
        self._turned: tuple[int, Orientation] | None = None
        self._width, self._height = displayed_size(width, height, pixel_aspect)
        self._mapping: tuple[object, ToneMapping] | None = None
        self._deinterlacer: tuple[object, Deinterlacer] | None = None

    def fits(self, frame: VideoFrame) -> bool:
        """Whether ``frame`` has the declared size."""
        return (frame.width, frame.height) == self._stored

    def show(self, frame: VideoFrame) -> Image:
        """The picture as displayed, contiguous, BGR."""
        if self._turned is None or self._turned[0] != frame.rotation:
            # A frame that was asked for its side data is a reference cycle: its pixels stay until the next collection.
            self._turned = frame.rotation, Orientation.of(frame)
        if frame.colorspace == _UNSPECIFIED and (frame.width >= _HD_WIDTH or frame.height >= _HD_HEIGHT):
            frame.colorspace = _BT709
        image = self._deinterlaced(frame) if frame.interlaced_frame else self._pixels(frame)
        return np.ascontiguousarray(self._turned[1].apply(image))

    def _pixels(self, frame: VideoFrame) -> Image:
        space = ColourSpace.of(frame)
        if space is not None:
            frame = self._mapped(frame, space)
        pixels = frame.to_ndarray(format="bgr24", width=self._width, height=self._height)
        return np.asarray(pixels, dtype=np.uint8)

    def _deinterlaced(self, frame: VideoFrame) -> Image:
        blocks = combed_blocks(np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8))
        if not blocks.any():
            return self._pixels(frame)
        kind = frame.width, frame.height, frame.format.name
        if self._deinterlacer is None or self._deinterlacer[0] != kind:
            self._deinterlacer = kind, Deinterlacer(frame)
        return without_combs(self._pixels(frame), self._pixels(self._deinterlacer[1].first_field(frame)), blocks)

    def _mapped(self, frame: VideoFrame, space: ColourSpace) -> VideoFrame:
        kind = frame.width, frame.height, space
        if self._mapping is None or self._mapping[0] != kind:
            self._mapping = kind, ToneMapping(space, frame.width, frame.height)
        return self._mapping[1].apply(frame)
