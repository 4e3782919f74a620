"""`PyAvSnapshotExtractor`: JPEGs of chosen moments of a video, made in one pass that seeks from each to the next."""

from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from typing import BinaryIO

import cv2
import numpy as np

from vidintel.application.ports import Image, SnapshotRequest
from vidintel.domain.detection import BoundingBox
from vidintel.domain.errors import BusinessRuleViolation, FrameNotFound, UnsupportedMedia
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder
from vidintel.infrastructure.media.drawing import encode_jpeg
from vidintel.infrastructure.media.pictures import Screen
from vidintel.infrastructure.media.probe import open_video
from vidintel.infrastructure.media.shown import frames_shown_at

_WHOLE_PX, _STRIP_PX, _CROP_PX = 1280, 160, 320
_CROP_MARGIN = 0.1
_QUALITY = 82
_NEAR_S = 2.0
_UNREADABLE = (BusinessRuleViolation, UnsupportedMedia, FrameNotFound)


class PyAvSnapshotExtractor:
    """Implements `SnapshotExtractor`. Sides are at most 1280 pixels long, 320 in crops, 160 in parts of a strip."""

    def __init__(self, decoder: PyAvVideoDecoder) -> None:
        self._decoder = decoder

    def take(self, content: BinaryIO, requests: Sequence[SnapshotRequest]) -> Generator[tuple[str, bytes], None, None]:
        """See `SnapshotExtractor.take`."""
        wanted = defaultdict[float, list[SnapshotRequest]](list)
        for request in requests:
            for time_s in request.times_s:
                wanted[time_s].append(request)
        strips = defaultdict[str, dict[float, Image]](dict)
        for time_s, image in self._pictures(content, sorted(wanted)):
            for request in wanted[time_s]:
                if len(request.times_s) > 1:
                    strips[request.name][time_s] = _shrunk(image, _STRIP_PX)
                elif request.box is not None:
                    yield request.name, encode_jpeg(_shrunk(_cropped(image, request.box), _CROP_PX), _QUALITY)
                else:
                    yield request.name, encode_jpeg(_shrunk(image, _WHOLE_PX), _QUALITY)
        for request in requests:
            if pieces := strips.get(request.name):
                strip = _side_by_side([pieces.get(time_s) for time_s in request.times_s])
                yield request.name, encode_jpeg(strip, _QUALITY)

    def _pictures(self, content: BinaryIO, times_s: Sequence[float]) -> Iterator[tuple[float, Image]]:
        """The pictures shown at ``times_s``, in ascending order. Those near each other are decoded in one run."""
        for group in _near(times_s):
            missed = list(group)
            try:
                for time_s, image in _shown(content, group):
                    missed.remove(time_s)
                    yield time_s, image
            except _UNREADABLE:
                pass
            for time_s in missed:
                # The container seeks badly, or the file is broken here. `picture_at` decodes from further back.
                try:
                    yield time_s, self._decoder.picture_at(content, time_s)
                except _UNREADABLE:
                    continue


def _near(times_s: Sequence[float]) -> Iterator[list[float]]:
    group: list[float] = []
    for time_s in times_s:
        if group and time_s - group[-1] > _NEAR_S:
            yield group
            group = []
        group.append(time_s)
    if group:
        yield group


def _shown(content: BinaryIO, times_s: Sequence[float]) -> Iterator[tuple[float, Image]]:
    """The pictures shown at ``times_s``, decoded from the keyframe before; times before the first frame have none."""
    with open_video(content) as video:
        stream = video.stream
        screen = Screen(stream.width, stream.height, stream.sample_aspect_ratio)
        video.seek(times_s[0])
        for time_s, frame in frames_shown_at(video, times_s):
            yield time_s, screen.show(frame)


def _cropped(image: Image, box: BoundingBox) -> Image:
    """The part of ``image`` in ``box``, with a margin around it."""
    height, width = image.shape[:2]
    dx, dy = (box.x2 - box.x1) * _CROP_MARGIN, (box.y2 - box.y1) * _CROP_MARGIN
    left, top = max(0, int((box.x1 - dx) * width)), max(0, int((box.y1 - dy) * height))
    right, bottom = min(width, int((box.x2 + dx) * width) + 1), min(height, int((box.y2 + dy) * height) + 1)
    return image[min(top, height - 1) : bottom, min(left, width - 1) : right]


def _shrunk(image: Image, max_px: int) -> Image:
    """``image`` with no side longer than ``max_px``; never enlarged."""
    height, width = image.shape[:2]
    scale = max_px / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _side_by_side(pieces: Sequence[Image | None]) -> Image:
    """All ``pieces`` at the same size in one row; black where one is missing."""
    blank = np.zeros_like(next(piece for piece in pieces if piece is not None))
    height, width = blank.shape[:2]
    fitting = [blank if piece is None else np.asarray(cv2.resize(piece, (width, height)), np.uint8) for piece in pieces]
    return np.hstack(fitting)
