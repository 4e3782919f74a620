"""Deinterlacing: where the two fields of a picture differ, only the first field is shown.

An interlaced picture holds two fields, recorded one after the other, in alternate lines. Shown together, they produce
combing artefacts on moving objects. The usual filters also use the neighbouring pictures. Here each picture is filtered
by itself, so that the result does not depend on how the video was split.
"""

from fractions import Fraction

import cv2
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from vidintel.application.ports import Image

_BLOCK_PX = 16
_NOISE = 10
_SHARE = 1 / _BLOCK_PX
"""A block is combed when this share of its pixels is: a vertical edge that moved by one pixel reaches it."""


def combed_blocks(luma: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which blocks of 16 × 16 pixels comb: many of their pixels differ from both neighbouring lines the same way."""
    above = cv2.subtract(luma[1:-1], luma[:-2]), cv2.subtract(luma[1:-1], luma[2:])
    below = cv2.subtract(luma[:-2], luma[1:-1]), cv2.subtract(luma[2:], luma[1:-1])
    is_combed = np.maximum(np.minimum(*above), np.minimum(*below)) > _NOISE
    rows, columns = -(-luma.shape[0] // _BLOCK_PX), -(-luma.shape[1] // _BLOCK_PX)
    padded = np.zeros((rows * _BLOCK_PX, columns * _BLOCK_PX), dtype=np.uint8)
    padded[1 : luma.shape[0] - 1, : luma.shape[1]] = is_combed
    shares = padded.reshape(rows, _BLOCK_PX, columns, _BLOCK_PX).mean(axis=(1, 3))
    return np.asarray(shares >= _SHARE)


class Deinterlacer:
    """For frames of one size and format. Not for several threads at once."""

    def __init__(self, frame: VideoFrame) -> None:
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
        )
        field, sink = self._graph.add("field", type="top"), self._graph.add("buffersink")
        source.link_to(field)
        field.link_to(sink)
        self._graph.configure()

    def first_field(self, frame: VideoFrame) -> VideoFrame:
        """The upper lines alone: half as high."""
        self._graph.vpush(frame)
        return self._graph.vpull()


def without_combs(woven: Image, field: Image, blocks: NDArray[np.bool_]) -> Image:
    """``woven`` but for the combed ``blocks`` and those around them, which come from ``field`` (of the same size)."""
    wide = cv2.dilate(blocks.astype(np.uint8), np.ones((3, 3), dtype=np.uint8))
    whole = wide.repeat(_BLOCK_PX, axis=0).repeat(_BLOCK_PX, axis=1)
    scaled = cv2.resize(whole, (woven.shape[1], woven.shape[0]), interpolation=cv2.INTER_NEAREST)
    return np.where(scaled[:, :, np.newaxis] > 0, field, woven)
