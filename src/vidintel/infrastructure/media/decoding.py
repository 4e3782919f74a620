"""`PyAvVideoDecoder`: what is in a video and how to cut it, its frames to analyse, and the frame shown at a time.

Each segment begins at a keyframe and its ends lie half-way between neighbouring frames. So the first keyframe after
``start_s`` is where decoding has to begin, however badly a container seeks, and leading pictures, which are coded after
a keyframe and shown before it, fall into the segment that holds their time.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import dropwhile, tee
from typing import BinaryIO

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from vidintel.application.ports import Frame, Image, MediaLimits, MediaPlan
from vidintel.domain.analysis import SegmentSpan
from vidintel.domain.errors import DurationExceeded, FrameNotFound, NoFrames, UnreadableVideo
from vidintel.domain.video import MediaInfo, MediaWarning
from vidintel.infrastructure.media.pictures import Orientation, displayed_size, upright
from vidintel.infrastructure.media.probe import OpenedVideo, VideoPacket, check_size, is_shown, open_video
from vidintel.infrastructure.media.sampling import SampleGrid, choose
from vidintel.infrastructure.media.timeline import REORDER_WINDOW, Cut, Picture, Timeline, in_presentation_order

_SEEK_MARGIN_S = 1.0
_SHOWN_MARGINS_S = (0.0, 2.0, 20.0)
_SHOWN_TOLERANCE_S = 0.0005


class PyAvVideoDecoder:
    """Implements `VideoDecoder` with FFmpeg's libraries. Stateless: one instance serves any number of threads."""

    def plan(self, content: BinaryIO, *, segment_s: float, sample_fps: float | None, limits: MediaLimits) -> MediaPlan:
        """See `VideoDecoder.plan`. One pass over the packets; memory grows with the number of segments only."""
        with open_video(content) as video:
            check_size(*_size(video, Orientation()), limits)
            orientation = _orientation_of_first_frame(video)
            width, height = _size(video, orientation)
            check_size(width, height, limits)
        with open_video(content) as video:
            timeline = video.timeline
            grid = None if sample_fps is None else SampleGrid.of(timeline, sample_fps)
            pictures, again = tee(_limited(in_presentation_order(video.pictures()), timeline, limits))
            chosen = choose((picture.instant for picture in again), grid, Cut(None, None))
            segments = _Segments(timeline, segment_s)
            for picture, is_taken in zip(pictures, chosen, strict=True):
                segments.add(picture, is_taken=is_taken)
            media = MediaInfo(
                container=_container_name(video),
                codec=video.stream.codec_context.codec.canonical_name,
                width=width,
                height=height,
                rotation=orientation.rotation,
                duration_s=segments.end_s,
                frame_rate=segments.frame_rate,
                frame_count=segments.frame_count,
            )
            return MediaPlan(media, segments.spans())

    def frames(
        self,
        content: BinaryIO,
        span: SegmentSpan,
        *,
        sample_fps: float | None,
        warn: Callable[[MediaWarning], None] | None = None,
    ) -> Iterator[Frame]:
        """See `VideoDecoder.frames`. Reads the segment's packets twice: to know its frames, then to decode them."""
        instants, can_seek = _instants(content, span)
        with open_video(content) as video:
            timeline = video.timeline
            cut = Cut.of(span, timeline)
            grid = None if sample_fps is None else SampleGrid.of(timeline, sample_fps)
            chosen = np.fromiter(choose((int(each) for each in instants), grid, cut), dtype=np.bool_)
            wanted = np.flatnonzero(chosen)
            if not wanted.size:
                return
            final, following = int(wanted[-1]), 0
            packets = _packets_from(video, span, can_seek=can_seek)
            for instant, frame in video.decode(packets):
                place = int(np.searchsorted(instants, instant))
                if place >= following and place < instants.size and instants[place] == instant and chosen[place]:
                    following = place + 1
                    image = upright(frame, video.stream.sample_aspect_ratio)
                    yield Frame(span.first_frame + place, timeline.seconds(instant), image)
                if place >= final:
                    return

    def picture_at(self, content: BinaryIO, time_s: float) -> Image:
        """The picture that a player shows at ``time_s``: the last one not after it, or else the first of all.

        Times are good to half a millisecond. Raises `FrameNotFound` past the end, `UnreadableVideo`, and as
        `open_video` does.
        """
        for margin in (*_SHOWN_MARGINS_S, None):
            with open_video(content) as video:
                if margin is not None:
                    video.seek(time_s - margin)
                frame = _shown_at(video, time_s, from_beginning=margin is None)
                if frame is not None:
                    return upright(frame, video.stream.sample_aspect_ratio)
        raise UnreadableVideo("No frame of the video can be decoded.")


class _Segments:
    """Cuts the pictures, given in presentation order, into spans, and counts them."""

    def __init__(self, timeline: Timeline, segment_s: float) -> None:
        self._timeline = timeline
        self._span_length = max(1, timeline.length(segment_s))
        self._done: list[SegmentSpan] = []
        self._first: Picture | None = None
        self._last: Picture | None = None
        self._cut_at = 0
        self._start_s = 0.0
        self._frames = 0
        self._samples = 0

    def add(self, picture: Picture, *, is_taken: bool) -> None:
        if self._first is None or self._last is None:
            self._first, self._cut_at = picture, picture.instant
            self._start_s = min(0.0, self._timeline.seconds(picture.instant))
        elif picture.is_keyframe and picture.instant >= self._cut_at + self._span_length:
            boundary = self._timeline.seconds((self._last.instant + picture.instant) // 2)
            self._done.append(self._span(boundary))
            self._start_s, self._cut_at, self._frames, self._samples = boundary, picture.instant, 0, 0
        self._last = picture
        self._frames += 1
        self._samples += is_taken

    def spans(self) -> tuple[SegmentSpan, ...]:
        return (*self._done, self._span(None))

    @property
    def frame_count(self) -> int:
        return sum(span.frame_count for span in self._done) + self._frames

    @property
    def end_s(self) -> float:
        """When the last picture ends. Raises `NoFrames` when there was none."""
        if self._last is None:
            raise NoFrames
        return self._timeline.seconds(self._last.instant + self._last.length)

    @property
    def frame_rate(self) -> float:
        """Pictures per second, on average, between the first and the end."""
        if self._first is None:
            raise NoFrames
        return self.frame_count / (self.end_s - self._timeline.seconds(self._first.instant))

    def _span(self, end_s: float | None) -> SegmentSpan:
        before = sum(span.frame_count for span in self._done)
        return SegmentSpan(len(self._done), self._start_s, end_s, before, self._frames, self._samples)


def _container_name(video: OpenedVideo) -> str:
    name = video.container.format.name.partition(",")[0]
    is_mp4 = name == "mov" and not video.container.metadata.get("major_brand", "qt").startswith("qt")
    return "mp4" if is_mp4 else name


def _size(video: OpenedVideo, orientation: Orientation) -> tuple[int, int]:
    stream = video.stream
    return displayed_size(stream.width, stream.height, stream.sample_aspect_ratio, orientation)


def _orientation_of_first_frame(video: OpenedVideo) -> Orientation:
    """Proves that there is a frame. Raises `NoFrames` without packets, `UnreadableVideo` when none can be decoded."""
    packets, again = tee(video.packets())
    if next(again, None) is None:
        raise NoFrames
    del again
    for _, frame in video.decode(packets):
        return Orientation.of(frame)
    raise UnreadableVideo("No frame of the video can be decoded.")


def _limited(pictures: Iterable[Picture], timeline: Timeline, limits: MediaLimits) -> Iterator[Picture]:
    for picture in pictures:
        if timeline.seconds(picture.instant + picture.length) > limits.max_duration_s:
            raise DurationExceeded(
                f"The video is longer than the limit of {limits.max_duration_s:g} seconds.",
                max_duration_s=limits.max_duration_s,
            )
        yield picture


def _instants(content: BinaryIO, span: SegmentSpan) -> tuple[NDArray[np.int64], bool]:
    """The instants of the span's frames, in order, and whether seeking finds all of them."""
    for can_seek in (True, False):
        with open_video(content) as video:
            cut = Cut.of(span, video.timeline)
            packets = _packets_from(video, span, can_seek=can_seek)
            instants = np.unique(np.fromiter(_instants_within(video, packets, cut), dtype=np.int64))
            if instants.size == span.frame_count:
                return instants, can_seek
    return instants, False


def _instants_within(video: OpenedVideo, packets: Iterable[VideoPacket], cut: Cut) -> Iterator[int]:
    beyond = 0
    for packet in packets:
        if not is_shown(packet):
            continue
        instant = video.picture(packet).instant
        if not cut.is_before_end(instant):
            beyond += 1
            if beyond > REORDER_WINDOW:
                return
        elif cut.is_after_start(instant):
            yield instant


def _packets_from(video: OpenedVideo, span: SegmentSpan, *, can_seek: bool) -> Iterator[VideoPacket]:
    """Packets from the keyframe that begins ``span`` on. What an edit list hides before the first frame is decoded."""
    cut = Cut.of(span, video.timeline)
    if cut.after is None:
        return video.packets()
    if can_seek:
        video.seek(span.start_s - _SEEK_MARGIN_S)

    def is_too_early(packet: VideoPacket) -> bool:
        picture = video.picture(packet)
        return not (is_shown(packet) and picture.is_keyframe and cut.is_after_start(picture.instant))

    return dropwhile(is_too_early, video.packets())


def _shown_at(video: OpenedVideo, time_s: float, *, from_beginning: bool) -> VideoFrame | None:
    """The last frame not after ``time_s`` among those that come; from the beginning, the first one at worst."""
    target = video.timeline.instant(time_s + _SHOWN_TOLERANCE_S)
    packets = video.packets()
    if not from_beginning:
        packets = dropwhile(lambda packet: not packet.is_keyframe, packets)
    shown: VideoFrame | None = None
    ends = target
    for instant, frame in video.decode(packets):
        if instant > target:
            return frame if shown is None and from_beginning else shown
        shown, ends = frame, instant + (2 * frame.duration or video.usual_length)
    if shown is not None and target > ends + video.timeline.length(_SHOWN_TOLERANCE_S):
        raise FrameNotFound(f"The video ends before {time_s:g} s.")
    return shown
