"""Reading videos and making pictures of them."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from vidintel.domain.detection import BoundingBox
from vidintel.domain.segment import SegmentSpan
from vidintel.domain.tracking import TrackedFrame
from vidintel.domain.video import MediaInfo, MediaWarning

Image = NDArray[np.uint8]
"""A picture: height × width × 3, BGR, 0..255."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame, upright as a player shows it.

    ``index`` counts the video's frames in presentation order from 0; ``time_s`` is seconds on the player's timeline.
    Frames of one ``group`` (a number within the segment) lie together however the video is cut, so that only they may
    be compared when results must not depend on the cut.
    """

    index: int
    time_s: float
    image: Image
    group: int = 0


@dataclass(frozen=True, slots=True)
class MediaLimits:
    max_duration_s: float
    max_side_px: int
    min_side_px: int = 2


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """What probing found, how to cut the video, and what is wrong with it as a whole."""

    media: MediaInfo
    segments: tuple[SegmentSpan, ...]
    warnings: tuple[MediaWarning, ...] = ()


class VideoDecoder(Protocol):
    """Reads videos. Blocking: call it in a worker's thread, never in the API process."""

    def plan(
        self,
        content: BinaryIO,
        *,
        segment_s: float,
        sample_fps: float | None,
        limits: MediaLimits,
        heartbeat: Callable[[], None] | None = None,
    ) -> MediaPlan:
        """Probe the video and cut it at keyframes into segments of about ``segment_s`` seconds.

        ``heartbeat`` is called regularly; an exception from it ends the work.

        Raises `NotAVideo`, `NoVideoStream`, `NoFrames`, `UnreadableVideo`, `ResolutionUnsupported`,
        `DurationExceeded`.
        """
        ...

    def frames(
        self,
        content: BinaryIO,
        span: SegmentSpan,
        *,
        sample_fps: float | None,
        warn: Callable[[MediaWarning], None] | None = None,
        heartbeat: Callable[[], None] | None = None,
    ) -> Iterator[Frame]:
        """The frames of ``span`` to analyse, in presentation order. Damaged frames are left out.

        ``warn`` is called for each fault, while the frames are read. ``heartbeat`` is called regularly, also while the
        decoder reads towards a frame far from the nearest keyframe; an exception from it ends the work.
        Raises `UnreadableVideo`.
        """
        ...


class ColourHistogram(Protocol):
    def counts(self, image: Image) -> tuple[int, ...]:
        """A histogram of the picture's colours, for `vidintel.domain.shots`. Blocking, well below a millisecond."""
        ...


class FrameDifferencer(Protocol):
    """Tells whether two frames differ by more than noise. Blocking, about a millisecond."""

    def thumbnail(self, image: Image) -> Image:
        """A small copy of a picture for comparisons, a few tens of kilobytes."""
        ...

    def is_similar(self, before: Image, after: Image) -> bool:
        """Whether two thumbnails differ by no more than noise."""
        ...


class AppearanceEncoder(Protocol):
    def encode(self, image: Image, boxes: Sequence[BoundingBox]) -> Sequence[bytes]:
        """The appearance embeddings of the objects in ``boxes``, all of the same length; each byte is one dimension.

        Blocking, well below a millisecond.
        """
        ...


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """A picture to make of the frames shown at ``times_s`` (seconds), side by side when there are several.

    With a ``box`` and one time, the picture is cropped to the box and a small margin around it.
    """

    name: str
    times_s: tuple[float, ...]
    box: BoundingBox | None = None


class SnapshotExtractor(Protocol):
    """Makes the snapshots of a job. Blocking: call it in a worker's thread, never in the API process."""

    def take(self, content: BinaryIO, requests: Sequence[SnapshotRequest]) -> Generator[tuple[str, bytes], None, None]:
        """The name and the JPEG of each requested snapshot, as soon as it is ready.

        Snapshots whose frames cannot be decoded are left out; missing parts of a strip are black.
        """
        ...


class FrameRenderer(Protocol):
    async def jpeg(self, key: str, time_s: float, seen: TrackedFrame | None) -> bytes:
        """The frame shown at ``time_s`` as JPEG, with what was ``seen`` drawn on it.

        Decoding happens in another process, which a hostile file may kill. Raises `FrameNotFound`, `UnreadableVideo`.
        """
        ...
