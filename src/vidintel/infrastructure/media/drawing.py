"""Draws detections on a picture."""

import zlib

import cv2
import numpy as np

from vidintel.application.ports import Image
from vidintel.domain.detection import Detection
from vidintel.domain.errors import UnreadableVideo
from vidintel.domain.tracking import TrackedFrame

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
# BGR. Bright enough for asphalt and grass.
_PALETTE = (
    (255, 144, 30), (119, 102, 238), (71, 99, 255), (68, 187, 204), (238, 204, 102), (211, 85, 186), (51, 150, 255),
    (0, 215, 255), (170, 178, 32), (203, 192, 255),
)  # fmt: skip


def draw_detections(image: Image, seen: TrackedFrame) -> Image:
    """A copy of ``image`` with a box and a caption (label, track and confidence) for each detection.

    A label has the same colour in every picture. Those of the highest confidence are drawn last, on top.
    """
    drawn = image.copy()
    scale = max(0.4, min(image.shape[:2]) / 900)
    pairs = zip(seen.frame.detections, seen.track_ids, strict=True)
    for detection, track_id in sorted(pairs, key=lambda pair: pair[0].confidence):
        _draw(drawn, detection, track_id, scale)
    return drawn


def encode_jpeg(image: Image, quality: int = 88) -> bytes:
    """``image`` as JPEG; ``quality`` lies in 1..100. Raises `UnreadableVideo` when it cannot be encoded."""
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise UnreadableVideo("The picture cannot be written as JPEG.")
    return encoded.tobytes()


def colour_of(label: str) -> tuple[int, int, int]:
    """The colour (BGR) that stands for ``label``."""
    return _PALETTE[zlib.crc32(label.encode()) % len(_PALETTE)]


def _draw(image: Image, detection: Detection, track_id: int | None, scale: float) -> None:
    height, width = image.shape[:2]
    box, colour, thickness = detection.box, colour_of(detection.label), max(2, round(2 * scale))
    left, right = (min(width - 1, round(x * width)) for x in (box.x1, box.x2))
    top, bottom = (min(height - 1, round(y * height)) for y in (box.y1, box.y2))
    cv2.rectangle(image, (left, top), (right, bottom), colour, thickness)

    weight = max(1, round(scale))
    name = detection.label if track_id is None else f"{detection.label} #{track_id}"
    caption = f"{name} {detection.confidence:.2f}"
    (text_width, text_height), baseline = cv2.getTextSize(caption, _FONT, scale, weight)
    # Above the box where there is room, inside it otherwise, and never beyond the right edge.
    left = max(0, min(left, width - text_width - 1))
    bottom = top if top >= text_height + baseline + 2 else min(height - 1, top + text_height + baseline + 2)
    plate = (left, bottom - text_height - baseline - 2), (left + text_width, bottom)
    cv2.rectangle(image, *plate, colour, cv2.FILLED)
    is_light = float(np.dot(colour, (0.114, 0.587, 0.299))) > 140
    ink = _BLACK if is_light else _WHITE
    cv2.putText(image, caption, (left, bottom - baseline), _FONT, scale, ink, weight, cv2.LINE_AA)
