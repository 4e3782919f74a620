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

        ``heartbeat`` is called now and then; what it raises ends the work.

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
        """The frames of ``span`` to be analysed, in presentation order; those that are broken are left out.

        ``warn`` is called for what is wrong, while the frames are read; ``heartbeat`` again and again, also on the way
        to a frame that lies far from where reading can begin, and what it raises ends the work. Raises
        `UnreadableVideo`.
        """
        ...


class ColourHistogram(Protocol):
    def counts(self, image: Image) -> tuple[int, ...]:
        """A histogram of the picture's colours, for `vidintel.domain.shots`. Blocking, well below a millisecond."""
        ...


class FrameDifferencer(Protocol):
    """Tells whether anything worth analysing changed between two frames. Blocking, about a millisecond."""

    def sketch(self, image: Image) -> Image:
        """What is kept of a picture for comparing, a few ten kilobytes."""
        ...

    def is_alike(self, before: Image, after: Image) -> bool:
        """Whether two sketches show the same but for noise."""
        ...


class AppearanceEncoder(Protocol):
    def appearances(self, image: Image, boxes: Sequence[BoundingBox]) -> Sequence[bytes]:
        """What the objects in ``boxes`` look like: for each as many bytes, every one a number that may be compared.

        Blocking, well below a millisecond.
        """
        ...


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """A picture to be made: of what is shown at ``times_s``, side by side when these are several.

    With a ``box``, of one moment, it is cut to what lies in there and a little around it.
    """

    name: str
    times_s: tuple[float, ...]
    box: BoundingBox | None = None


class SnapshotExtractor(Protocol):
    """Makes pictures for keeping. Blocking: call it in a worker's thread, never in the API process."""

    def take(self, content: BinaryIO, orders: Sequence[SnapshotRequest]) -> Generator[tuple[str, bytes], None, None]:
        """Names and JPEGs, of one order after the other as they get ready.

        What cannot be decoded is left out; missing parts of a strip are black.
        """
        ...


class FrameRenderer(Protocol):
    async def jpeg(self, key: str, time_s: float, seen: TrackedFrame | None) -> bytes:
        """The frame shown at ``time_s`` as JPEG, with what was ``seen`` drawn on it.

        Decoding happens in another process, which a hostile file may kill. Raises `FrameNotFound`, `UnreadableVideo`.
        """
        ...
