"""The detections of a model in one frame."""

import math
from dataclasses import dataclass

from vidintel.domain.errors import ValidationError


@dataclass(frozen=True, slots=True)
class BoundingBox:
    """An axis-aligned box, ``xyxy``, normalised 0..1 in the displayed (rotated) picture; origin top left."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.x1 <= self.x2 <= 1.0 and 0.0 <= self.y1 <= self.y2 <= 1.0):
            raise ValidationError(
                "A bounding box needs 0 <= x1 <= x2 <= 1 and 0 <= y1 <= y2 <= 1; "
                f"got ({self.x1}, {self.y1}, {self.x2}, {self.y2})."
            )

    @property
    def area(self) -> float:
        """Share of the picture, 0..1."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    def iou(self, other: "BoundingBox") -> float:
        """Intersection over union, 0..1; 0 when both are empty."""
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        if width <= 0 or height <= 0:
            return 0.0
        intersection = width * height
        union = self.area + other.area - intersection
        return intersection / union if union > 0 else 0.0  # areas of the smallest boxes round to 0


@dataclass(frozen=True, slots=True)
class Detection:
    """One object that a model saw in one frame, with its confidence (0..1).

    ``appearance`` is the appearance embedding that an `AppearanceEncoder` made for the tracker, or empty.
    """

    label: str
    confidence: float
    box: BoundingBox
    appearance: bytes = b""

    def __post_init__(self) -> None:
        if not self.label:
            raise ValidationError("A detection needs a label.")
        if not (math.isfinite(self.confidence) and 0.0 <= self.confidence <= 1.0):
            raise ValidationError(f"A confidence lies in 0..1; got {self.confidence}.")


@dataclass(frozen=True, slots=True)
class FrameDetections:
    """All detections in one analysed frame.

    ``frame`` counts the video's frames in presentation order from 0; ``time_s`` is seconds on the player's timeline.
    ``reused`` says that they were detected in an earlier, similar frame.
    """

    frame: int
    time_s: float
    detections: tuple[Detection, ...]
    reused: bool = False

    def at_least(self, confidence: float) -> "FrameDetections":
        """The same frame with the detections that have ``confidence`` (0..1) or more."""
        kept = tuple(detection for detection in self.detections if detection.confidence >= confidence)
        return FrameDetections(self.frame, self.time_s, kept, self.reused)
