"""`PyAvVideoDecoder`: what is in a video and how to cut it, its frames to analyse, and the frame shown at a time.

The ends of a segment lie half-way between neighbouring frames. It begins at a keyframe, unless keyframes are so rare
that it would hold too many frames: then decoding begins at the keyframe before, and what comes too early is dropped.
Leading pictures, which are coded after a keyframe and shown before it, fall into the segment that holds their time.
Frames form groups, which begin wherever a segment may begin.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice, takewhile, tee
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vidintel.application.ports import Frame, Image, MediaLimits, MediaPlan
from vidintel.domain.errors import DurationExceeded, NoFrames, UnreadableVideo
from vidintel.domain.segment import SegmentSpan
from vidintel.domain.video import MediaInfo, MediaWarning
from vidintel.infrastructure.media.faults import (
    CORRUPT_FRAMES,
    RESOLUTION_CHANGED,
    TIMESTAMPS_REPAIRED,
    TRUNCATED,
    Faults,
)
from vidintel.infrastructure.media.pictures import Orientation, Screen, displayed_size
from vidintel.infrastructure.media.probe import OpenedVideo, VideoPacket, check_size, is_shown, open_video
from vidintel.infrastructure.media.sampling import SampleGrid, choose
from vidintel.infrastructure.media.shown import frames_shown_at
from vidintel.infrastructure.media.timeline import Cut, Picture, Timeline, in_presentation_order

_SEEK_MARGINS_S = (1.0, 16.0, 128.0)
_SAMPLES_MAX = 5_000
_GROUP_SAMPLES = 100
_SHOWS_LIFE_EVERY = 256
_CUT_SHORT_S, _CUT_SHORT_SHARE = 0.5, 0.01
_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_SHOWN_MARGINS_S = (0.0, 2.0, 20.0)


class PyAvVideoDecoder:
    """Implements `VideoDecoder` with FFmpeg's libraries. Stateless: one instance serves any number of threads.

    A segment has at most ``samples_max`` frames to analyse, so that its results fit into memory.
    """

    def __init__(self, samples_max: int = _SAMPLES_MAX) -> None:
        self._samples_max = samples_max

    def plan(
        self,
        content: BinaryIO,
        *,
        segment_s: float,
        sample_fps: float | None,
        limits: MediaLimits,
        heartbeat: Callable[[], None] | None = None,
    ) -> MediaPlan:
        """See `VideoDecoder.plan`. One pass over the packets; memory grows with the number of segments only."""
        with open_video(content) as video:
            width, height = _size(video)
            check_size(width, height, limits)
            orientation = _orientation_of_first_frame(video)
            if orientation.transposed:
                width, height = height, width
        with open_video(content) as video:
            timeline = video.timeline
            grid = None if sample_fps is None else SampleGrid.of(timeline, sample_fps)
            pictures, again = tee(_limited(in_presentation_order(video.pictures()), timeline, limits))
            chosen = choose((picture.instant for picture in again), grid, Cut(None, None))
            segments = _Segments(timeline, segment_s, self._samples_max, self._new_groups())
            for number, (picture, is_taken) in enumerate(zip(pictures, chosen, strict=True)):
                if heartbeat is not None and number % _SHOWS_LIFE_EVERY == 0:
                    heartbeat()
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
            _note_if_cut_short(video, segments)
            seekable = timeline.stamped and TIMESTAMPS_REPAIRED not in video.faults
            return MediaPlan(media, segments.spans(seekable=seekable), video.faults.warnings())

    def frames(
        self,
        content: BinaryIO,
        span: SegmentSpan,
        *,
        sample_fps: float | None,
        warn: Callable[[MediaWarning], None] | None = None,
        heartbeat: Callable[[], None] | None = None,
    ) -> Iterator[Frame]:
        """See `VideoDecoder.frames`. Reads the segment's packets twice: to know its frames, then to decode them."""
        entry, faults = _Entry.to(content, span, heartbeat), Faults()
        with open_video(content) as video:
            timeline = video.timeline
            grid = None if sample_fps is None else SampleGrid.of(timeline, sample_fps)
            instants = entry.instants
            chosen = choose((int(each) for each in instants), grid, Cut.of(span, timeline))
            missing = np.fromiter(chosen, dtype=np.bool_, count=instants.size)
            if not missing.any():
                return
            groups = self._groups(entry, missing)
            final, following = int(instants[np.flatnonzero(missing)[-1]]), 0
            screen = _screen_of(video)
            packets = islice(_packets_from(video, span, entry.margin_s, heartbeat), entry.skipped, None)
            for instant, frame in video.decode(packets, frozenset(instants[missing].tolist())):
                place = int(np.searchsorted(instants, instant))
                if place >= following and place < instants.size and instants[place] == instant and missing[place]:
                    following, missing[place] = place + 1, False
                    yield Frame(
                        span.first_frame + place, timeline.seconds(instant), screen.show(frame), int(groups[place])
                    )
                    if frame.is_corrupt:
                        faults.note(CORRUPT_FRAMES, timeline.seconds(instant))
                    if not screen.fits(frame):
                        faults.note(RESOLUTION_CHANGED, timeline.seconds(instant))
                if instant >= final:
                    break
            if missing.any():
                lost = np.flatnonzero(missing)
                faults.note(CORRUPT_FRAMES, timeline.seconds(int(instants[lost[0]])), lost.size)
            if warn is not None:
                for warning in faults.warnings():
                    warn(warning)

    def _new_groups(self) -> "_Groups":
        return _Groups(min(_GROUP_SAMPLES, self._samples_max))

    def _groups(self, entry: "_Entry", is_taken: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The number of the group of each picture of a segment."""
        groups = self._new_groups()
        is_keyframe = np.isin(entry.instants, entry.keyframes)
        begins = (groups.begins(bool(key), bool(taken)) for key, taken in zip(is_keyframe, is_taken, strict=True))
        return np.cumsum(np.fromiter(begins, dtype=np.int64, count=is_taken.size))

    def picture_at(self, content: BinaryIO, time_s: float) -> Image:
        """The picture that a player shows at ``time_s``: the last one not after it, or else the first of all.

        Times are good to half a millisecond. Raises `FrameNotFound` past the end, `UnreadableVideo`, and as
        `open_video` does.
        """
        for margin in (*_SHOWN_MARGINS_S, None):
            with open_video(content) as video:
                if margin is not None:
                    video.seek(time_s - margin)
                screen = _screen_of(video)
                for _, frame in frames_shown_at(video, [time_s], from_beginning=margin is None):
                    return screen.show(frame)
        raise UnreadableVideo("No frame of the video can be decoded.")


class _Groups:
    """Tells where groups begin: at a keyframe, and at the next frame to analyse when they hold ``samples_max``."""

    def __init__(self, samples_max: int) -> None:
        self.samples_max = samples_max
        self._samples = samples_max

    def begins(self, is_keyframe: bool, is_taken: bool) -> bool:
        """Whether the next picture, in presentation order, begins a group."""
        begins = is_keyframe or (is_taken and self._samples == self.samples_max)
        self._samples = is_taken + (0 if begins else self._samples)
        return begins


class _Segments:
    """Cuts the pictures, given in presentation order, into spans, and counts them."""

    def __init__(self, timeline: Timeline, segment_s: float, samples_max: int, groups: _Groups) -> None:
        self._timeline = timeline
        self._samples_max = samples_max
        self._groups = groups
        self._span_length = max(1, timeline.length(segment_s))
        self._done: list[SegmentSpan] = []
        self._first: Picture | None = None
        self._last: Picture | None = None
        self._cut_at = 0
        self._start_s = 0.0
        self._frames = 0
        self._samples = 0

    def add(self, picture: Picture, *, is_taken: bool) -> None:
        begins_group = self._groups.begins(picture.is_keyframe, is_taken)
        if self._first is None or self._last is None:
            self._first, self._cut_at = picture, picture.instant
            self._start_s = min(0.0, self._timeline.seconds(picture.instant))
        elif begins_group and self._is_full(picture):
            boundary = self._timeline.seconds((self._last.instant + picture.instant) // 2)
            self._done.append(self._span(boundary))
            self._start_s, self._cut_at, self._frames, self._samples = boundary, picture.instant, 0, 0
        self._last = picture
        self._frames += 1
        self._samples += is_taken

    def spans(self, *, seekable: bool) -> tuple[SegmentSpan, ...]:
        return tuple(replace(span, seekable=seekable) for span in (*self._done, self._span(None)))

    def _is_full(self, following: Picture) -> bool:
        is_long_enough = following.instant >= self._cut_at + self._span_length
        return (
            following.is_keyframe and is_long_enough
        ) or self._samples + self._groups.samples_max > self._samples_max

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
    def length_s(self) -> float:
        if self._first is None:
            raise NoFrames
        return self.end_s - self._timeline.seconds(self._first.instant)

    @property
    def frame_rate(self) -> float:
        """Pictures per second, on average, between the first and the end."""
        return self.frame_count / self.length_s

    def _span(self, end_s: float | None) -> SegmentSpan:
        before = sum(span.frame_count for span in self._done)
        return SegmentSpan(len(self._done), self._start_s, end_s, before, self._frames, self._samples)


def _container_name(video: OpenedVideo) -> str:
    name = video.container.format.name.partition(",")[0]
    is_mp4 = name == "mov" and not video.container.metadata.get("major_brand", "qt").startswith("qt")
    return "mp4" if is_mp4 else name


def _size(video: OpenedVideo) -> tuple[int, int]:
    """As displayed, but for the orientation. To be asked for before decoding begins, as `_screen_of`."""
    stream = video.stream
    return displayed_size(stream.width, stream.height, stream.sample_aspect_ratio)


def _screen_of(video: OpenedVideo) -> Screen:
    """To be asked for before decoding begins: the stream tells the size of the last picture from then on."""
    stream = video.stream
    return Screen(stream.width, stream.height, stream.sample_aspect_ratio)


def _orientation_of_first_frame(video: OpenedVideo) -> Orientation:
    """Proves that there is a frame. Raises `NoFrames` without packets, `UnreadableVideo` when none can be decoded."""
    packets, again = tee(video.packets())
    if next(again, None) is None:
        raise NoFrames
    del again
    for _, frame in video.decode(packets):
        return Orientation.of(frame)
    raise UnreadableVideo("No frame of the video can be decoded.")


def _note_if_cut_short(video: OpenedVideo, segments: _Segments) -> None:
    """Compare what came with what the header promised for this stream, where it did."""
    stream, came_s = video.stream, segments.length_s
    ends_s = segments.end_s + float(video.timeline.origin)
    if stream.duration is not None and stream.time_base is not None:
        promised_s = float(stream.duration * stream.time_base)
        if stream.start_time is None:  # then FFmpeg cannot have taken it off
            came_s = ends_s
    elif (match := _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))) is not None:
        # Matroska's says when the stream ends, by the file's own clock.
        hours, minutes, seconds = (float(each) for each in match.groups())
        promised_s = hours * 3600 + minutes * 60 + seconds
        came_s = ends_s
    else:
        return
    if came_s < promised_s - max(_CUT_SHORT_S, _CUT_SHORT_SHARE * promised_s):
        video.faults.note(TRUNCATED, segments.end_s)


def _limited(pictures: Iterable[Picture], timeline: Timeline, limits: MediaLimits) -> Iterator[Picture]:
    for picture in pictures:
        if timeline.seconds(picture.instant + picture.length) > limits.max_duration_s:
            raise DurationExceeded(
                f"The video is longer than the limit of {limits.max_duration_s:g} seconds.",
                max_duration_s=limits.max_duration_s,
            )
        yield picture


@dataclass(frozen=True, slots=True)
class _Entry:
    """The instants of a span's frames, in order, those of its ``keyframes``, and where decoding begins: ``skipped``
    packets after the keyframe found by seeking ``margin_s`` before the span, or after the beginning of the video
    (``None``)."""

    instants: NDArray[np.int64]
    keyframes: NDArray[np.int64]
    margin_s: float | None
    skipped: int

    @classmethod
    def to(cls, content: BinaryIO, span: SegmentSpan, heartbeat: Callable[[], None] | None) -> "_Entry":
        for margin_s in _SEEK_MARGINS_S if span.seekable and span.first_frame else ():
            instants, keyframes, place = _scan(content, span, margin_s, heartbeat)
            if place is not None and instants.size == span.frame_count:
                return cls(instants, keyframes, margin_s, place)
        instants, keyframes, place = _scan(content, span, None, heartbeat)
        return cls(instants, keyframes, None, place or 0)


def _scan(
    content: BinaryIO, span: SegmentSpan, margin_s: float | None, heartbeat: Callable[[], None] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], int | None]:
    """The instants of the span's frames, as far as they are found, those of keyframes, and which packet is the last
    keyframe before them.

    "Before" as they are shown: the first frames may be leading pictures, which need the keyframe before theirs.
    """
    with open_video(content) as video:
        cut = Cut.of(span, video.timeline)
        keyframes: list[tuple[int, int]] = []

        def shown() -> Iterator[Picture]:
            for place, packet in enumerate(_packets_from(video, span, margin_s, heartbeat)):
                picture = video.picture(packet)
                if picture.is_keyframe:
                    if not cut.is_after_start(picture.instant):
                        keyframes.clear()
                    keyframes.append((place, picture.instant))
                if is_shown(packet):
                    yield picture

        within = takewhile(cut.is_before_end, (picture.instant for picture in in_presentation_order(shown())))
        instants = np.fromiter(filter(cut.is_after_start, within), dtype=np.int64)
        before = [place for place, instant in keyframes if instant <= instants[0]] if instants.size else []
        found = np.array([instant for _, instant in keyframes], dtype=np.int64)
        return instants, found, before[-1] if before else None


def _packets_from(
    video: OpenedVideo, span: SegmentSpan, margin_s: float | None, heartbeat: Callable[[], None] | None
) -> Iterator[VideoPacket]:
    if margin_s is not None:
        video.seek(span.start_s - margin_s)
    packets = video.packets()
    return packets if heartbeat is None else _showing_life(packets, heartbeat)


def _showing_life(packets: Iterable[VideoPacket], heartbeat: Callable[[], None]) -> Iterator[VideoPacket]:
    for packet in packets:
        heartbeat()
        yield packet
