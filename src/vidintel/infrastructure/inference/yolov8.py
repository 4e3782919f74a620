"""YOLOv8's input and output as Ultralytics defines them: letterbox, non-maximum suppression, boxes on the picture.

See https://docs.ultralytics.com/reference/data/augment/ (LetterBox) and https://docs.ultralytics.com/reference/utils/nms/
for the definitions; the code here is our own, vectorised in NumPy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vidintel.application.ports import Image, ModelInfo
from vidintel.domain.detection import BoundingBox, Detection
from vidintel.domain.errors import UnknownLabel

STRIDE = 32
MAX_CANDIDATES = 30_000
MAX_DETECTIONS = 300
_PAD_VALUE = 114


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a picture is scaled and padded (``left``, ``top``) to the network's input; pixels throughout.

    Sides are scaled to whole pixels, so that height and width may be scaled by slightly different factors.
    """

    picture: tuple[int, int]
    scaled: tuple[int, int]
    canvas: tuple[int, int]
    left: int
    top: int

    @classmethod
    def fit(cls, picture: tuple[int, int], target: tuple[int, int], *, tight: bool) -> "Letterbox":
        """Fit a picture of (height, width) into ``target``, centred.

        ``tight`` pads to the next multiple of `STRIDE` only, which a network of dynamic input size allows.
        """
        height, width = picture
        gain = min(target[0] / height, target[1] / width)
        scaled = max(1, round(height * gain)), max(1, round(width * gain))
        spare = [whole - part for whole, part in zip(target, scaled, strict=True)]
        if tight:
            spare = [each % STRIDE for each in spare]
        canvas = scaled[0] + spare[0], scaled[1] + spare[1]
        top, left = (round(each / 2 - 0.1) for each in spare)
        return cls(picture, scaled, canvas, left, top)

    def blank(self, canvas: Image) -> None:
        """Prepare ``canvas`` (canvas height × canvas width × 3), which may hold anything, for pictures to come."""
        canvas[:] = _PAD_VALUE

    def draw(self, image: Image, canvas: Image) -> None:
        """Put ``image`` (BGR), scaled, into its place on ``canvas``; what lies around it stays."""
        place = canvas[self.top : self.top + self.scaled[0], self.left : self.left + self.scaled[1]]
        if image.shape[:2] == self.scaled:
            place[:] = image
        else:
            cv2.resize(image, self.scaled[::-1], dst=place, interpolation=cv2.INTER_LINEAR)

    def on_picture(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes (n × 4, ``xyxy``, pixels of the input) on the picture, clipped to it and normalised 0..1."""
        height, width = self.scaled
        shifted = boxes - (self.left, self.top, self.left, self.top)
        return np.clip(shifted / (width, height, width, height), 0.0, 1.0)


def class_numbers(info: ModelInfo, labels: Sequence[str] | None) -> NDArray[np.int64] | None:
    """The numbers of the classes called ``labels``, ``None`` for all. Raises `UnknownLabel`."""
    if labels is None:
        return None
    for label in labels:
        if label not in info.labels:
            raise UnknownLabel(label, info.name, info.labels)
    return np.array([number for number, label in enumerate(info.labels) if label in labels], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Suppression:
    """What is kept of a network's output: ``confidence > min_confidence``, of the given classes (``None``: all)."""

    min_confidence: float
    iou_threshold: float
    classes: NDArray[np.int64] | None = None

    def keep(self, output: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.int64]]:
        """Boxes (n × 4, ``xyxy``, pixels of the input), confidences and classes, by falling confidence.

        ``output`` is (4 + classes) × anchors: centre x, centre y, width, height, then one score per class.
        """
        scores = output[4:]
        confidences = scores.max(axis=0)
        chosen = np.flatnonzero(confidences > self.min_confidence)
        classes = scores[:, chosen].argmax(axis=0).astype(np.int64)
        if self.classes is not None:
            is_wanted = np.isin(classes, self.classes)
            chosen, classes = chosen[is_wanted], classes[is_wanted]
        order = np.argsort(-confidences[chosen], kind="stable")[:MAX_CANDIDATES]
        chosen, classes = chosen[order], classes[order]
        centre_x, centre_y, width, height = output[:4, chosen].astype(np.float64)
        boxes = np.stack(
            (centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2), axis=1
        )
        kept = suppress(boxes, classes, self.iou_threshold)
        return boxes[kept], confidences[chosen][kept], classes[kept]


def suppress(boxes: NDArray[np.float64], classes: NDArray[np.int64], iou_threshold: float) -> NDArray[np.int64]:
    """Which boxes (n × 4, ``xyxy``, best first) remain: a box goes when it overlaps a better one of its class by more
    than ``iou_threshold``. At most `MAX_DETECTIONS`.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    waiting = np.arange(len(boxes))
    kept: list[int] = []
    while waiting.size and len(kept) < MAX_DETECTIONS:
        best, waiting = int(waiting[0]), waiting[1:]
        kept.append(best)
        overlap = np.minimum(boxes[best, 2:], boxes[waiting, 2:]) - np.maximum(boxes[best, :2], boxes[waiting, :2])
        shared = overlap.clip(min=0.0).prod(axis=1)
        union = areas[best] + areas[waiting] - shared
        waiting = waiting[(classes[waiting] != classes[best]) | (shared <= iou_threshold * union)]
    return np.array(kept, dtype=np.int64)


def detections_of(
    output: NDArray[np.float32], letterbox: Letterbox, suppression: Suppression, labels: Sequence[str]
) -> tuple[Detection, ...]:
    """The network's output for one picture as detections, by falling confidence."""
    boxes, confidences, classes = suppression.keep(output)
    return tuple(
        Detection(labels[class_], min(1.0, float(confidence)), BoundingBox(*map(float, box)))
        for box, confidence, class_ in zip(letterbox.on_picture(boxes), confidences, classes, strict=True)
    )
