"""Opens uploaded content as a video.

Only self-contained container formats are allowed. Playlists, scripts and image sequences name further files, and a
hostile upload could name any file. Only the given file object is ever read.
"""

from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice
from typing import BinaryIO, NoReturn, TypeAlias

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidintel.application.ports import MediaLimits
from vidintel.domain.errors import NotAVideo, NoVideoStream, ResolutionUnsupported, UnreadableVideo
from vidintel.infrastructure.media.faults import TIMESTAMPS_REPAIRED, TRUNCATED, Faults
from vidintel.infrastructure.media.timeline import Picture, Timeline

FORMATS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "ogg", "asf", "mxf", "dv", "ivf"),
    *("h264", "hevc", "vvc", "obu", "m4v", "mpegvideo"),
)
VideoPacket: TypeAlias = "Packet[VideoStream]"
_OPTIONS = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "none"}
_NOT_A_MOVING_PICTURE = Disposition.attached_pic | Disposition.timed_thumbnails
_MICROSECONDS = 1_000_000
_VP8_SHOW_FRAME = 0x10
_USUAL_RATE = Fraction(25)
_REORDERED_MOST = 32  # more packets than any codec shows out of order
# A picture may be larger than the stream declares, within these bounds.
_GROWTH_MAX, _PIXELS_MIN = 4, 4096 * 2304
_REWIND_S = Fraction(1, 2)
# H.265's non-reference pictures may still be built upon by those of a higher temporal layer.
_SPARED = {"h264"}
_CUT_OFF_MP4 = "The file is an MP4 without its index (moov). It was probably cut off while it was recorded or sent."


class _Joints:
    """Finds where timestamps (ticks) jump back by more than ``rewind``, and moves what follows behind."""

    def __init__(self, rewind: int) -> None:
        self._rewind = rewind
        self._offset = 0
        self._last: int | None = None
        self._next = 0

    def mend(self, packet: VideoPacket, length: int) -> bool:
        """Stamp ``packet``, which lasts ``length``, anew; whether the timestamps jump back here."""
        if packet.dts is None or packet.pts is None:
            return False
        jumps_back = self._last is not None and packet.dts + self._offset < self._last - self._rewind
        if jumps_back:
            self._offset = self._next - packet.dts
        if self._offset:
            packet.pts, packet.dts = packet.pts + self._offset, packet.dts + self._offset
        self._last, self._next = packet.dts, packet.dts + length
        return jumps_back


@dataclass(frozen=True, slots=True)
class OpenedVideo:
    """An open container, its video stream, and the timeline on which a player shows it."""

    container: InputContainer
    stream: VideoStream
    timeline: Timeline
    faults: Faults = field(default_factory=Faults)

    @property
    def usual_length(self) -> int:
        """Half ticks that a picture lasts which does not say so itself."""
        return max(1, self.timeline.length(1 / _rate(self.stream)))

    def length_of(self, frame: VideoFrame) -> int:
        """Half ticks that a decoded frame lasts. The decoder's ticks are ours only where packets are stamped."""
        return (2 * frame.duration if self.timeline.stamped else 0) or self.usual_length

    def seek(self, seconds: float) -> None:
        """Seek to a keyframe at or before ``seconds``, as well as the container allows. A failed seek does nothing."""
        timeline = self.timeline
        if timeline.stamped:
            try:
                self.container.seek(timeline.instant(seconds) // 2, stream=self.stream)
            except FFmpegError:
                return

    def packets(self) -> Iterator[VideoPacket]:
        """Packets in coding order from here on, all with a timestamp, up to the end or to where the file is damaged.

        Where the timestamps jump back, as in joined recordings, the later packets are shown after the earlier ones.
        """
        count, clock = 0, 0
        joints = _Joints(self.timeline.length(_REWIND_S) // 2)
        try:
            for packet in self.container.demux(self.stream):
                if not packet.size:
                    continue
                length = packet.duration or self.usual_length // 2
                if not self.timeline.stamped:
                    packet.pts = packet.dts = count
                else:
                    if packet.pts is None:
                        packet.pts = packet.dts if packet.dts is not None else clock
                    if joints.mend(packet, length):
                        self.faults.note(TIMESTAMPS_REPAIRED, self.timeline.seconds(2 * packet.pts))
                assert packet.pts is not None, "set above"
                count, clock = count + 1, packet.pts + length
                yield packet
        except FFmpegError:
            self.faults.note(TRUNCATED, self.timeline.seconds(2 * clock))

    def pictures(self) -> Iterator[Picture]:
        """The pictures to be shown, in coding order."""
        for packet in self.packets():
            if is_shown(packet):
                yield self.picture(packet)

    def picture(self, packet: VideoPacket) -> Picture:
        assert packet.pts is not None, "packets() sees to that"
        if not self.timeline.stamped:
            return Picture(2 * packet.pts, self.usual_length, is_keyframe=packet.pts == 0)
        return Picture(2 * packet.pts, 2 * (packet.duration or 0) or self.usual_length, packet.is_keyframe)

    def decode(
        self, packets: Iterable[VideoPacket], wanted: Container[int] | None = None
    ) -> Iterator[tuple[int, VideoFrame]]:
        """Each decoded frame with the instant it is shown at. What cannot be decoded is left out.

        So may be those whose instant is not among ``wanted`` and that no other frame is built upon.
        """
        is_spared = self.timeline.stamped and self.stream.codec_context.codec.canonical_name in _SPARED
        if wanted is not None and is_spared:
            packets = self._sparing(packets, wanted)
        for count, frame in enumerate(self._decode(packets)):
            if not self.timeline.stamped:
                yield 2 * count, frame
            elif frame.pts is not None:
                yield 2 * frame.pts, frame

    def _sparing(self, packets: Iterable[VideoPacket], wanted: Container[int]) -> Iterator[VideoPacket]:
        """Tell the decoder with each packet whether it may pass over it when nothing is built upon it."""
        for packet in packets:
            assert packet.pts is not None, "packets() sees to that"
            self.stream.codec_context.skip_frame = "DEFAULT" if 2 * packet.pts in wanted else "NONREF"
            yield packet

    def _decode(self, packets: Iterable[VideoPacket]) -> Iterator[VideoFrame]:
        self.stream.thread_type = "AUTO"
        for packet in chain(packets, (None,)):
            try:
                frames = self.stream.decode(packet)
            except FFmpegError:
                continue
            yield from frames


def is_shown(packet: VideoPacket) -> bool:
    """False for what an edit list cuts away and for VP8's invisible reference frames."""
    if packet.is_discard:
        return False
    return packet.stream.codec_context.codec.canonical_name != "vp8" or bool(memoryview(packet)[0] & _VP8_SHOW_FRAME)


@contextmanager
def open_video(content: BinaryIO) -> Iterator[OpenedVideo]:
    """Open ``content`` from its beginning; it stays open afterwards.

    Raises `NotAVideo`, `NoVideoStream`, or `UnreadableVideo` for an unsupported codec.
    """
    container, first = _open(content), None
    if _begins(container) is None and container.format.name.startswith("matroska"):
        with container:
            first = _first_timestamp(container, _video_stream(container))
        container = _open(content)
    with container:
        stream = _video_stream(container)
        yield OpenedVideo(container, stream, _timeline(container, stream, first))


def _open(content: BinaryIO) -> InputContainer:
    content.seek(0)
    try:
        return av.open(content, "r", container_options=_OPTIONS, io_open=_refuse)
    except (FFmpegError, UnicodeDecodeError) as error:
        raise _not_a_video(content) from error


def _begins(container: InputContainer) -> int | None:
    """Microseconds; ``None`` where FFmpeg cannot tell, whatever the type stubs say."""
    return container.start_time


def _first_timestamp(container: InputContainer, stream: VideoStream) -> int | None:
    """The earliest among the first packets, in ticks. For where FFmpeg saw too few of them to tell."""
    packets = islice(container.demux(stream), _REORDERED_MOST)
    try:
        return min((packet.pts for packet in packets if packet.pts is not None), default=None)
    except FFmpegError:
        return None


def check_size(width: int, height: int, limits: MediaLimits) -> None:
    """Raise `ResolutionUnsupported` unless both sides (pixels) lie within ``limits``."""
    if not (limits.min_side_px <= min(width, height) and max(width, height) <= limits.max_side_px):
        raise ResolutionUnsupported(
            f"The picture is {width}×{height} pixels; each side must lie between {limits.min_side_px} and "
            f"{limits.max_side_px}.",
            width=width,
            height=height,
        )


def _refuse(url: str, *_: object) -> NoReturn:
    raise PermissionError(f"A video must not refer to other files; this one refers to {url!r}.")


def _not_a_video(content: BinaryIO) -> NotAVideo:
    content.seek(0)
    return NotAVideo(_CUT_OFF_MP4) if content.read(12)[4:8] == b"ftyp" else NotAVideo()


def _video_stream(container: InputContainer) -> VideoStream:
    stream = next((each for each in container.streams.video if not each.disposition & _NOT_A_MOVING_PICTURE), None)
    if stream is None:
        raise NoVideoStream
    # A stream without a known codec has no context, whatever the type stubs say.
    if getattr(stream, "codec_context", None) is None:
        raise UnreadableVideo("The codec of the video is not supported. Re-encode it, for example as H.264.")
    stream.codec_context.options = {"max_pixels": str(max(_PIXELS_MIN, _GROWTH_MAX * stream.width * stream.height))}
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    return stream


def _timeline(container: InputContainer, stream: VideoStream, first: int | None) -> Timeline:
    """``first`` is the earliest timestamp where the container does not say when it begins."""
    if stream.time_base is None or _is_stamped_in_coding_order(container, stream):
        return Timeline(1 / _rate(stream), Fraction(0), stamped=False)
    begins = _begins(container)
    if begins is None:
        if first is None:
            return Timeline(1 / _rate(stream), Fraction(0), stamped=False)
        return Timeline(stream.time_base, first * stream.time_base, stamped=True)
    start = Fraction(begins, _MICROSECONDS)
    if stream.start_time is not None:
        exact = stream.start_time * stream.time_base
        if _has_an_index(container, stream):
            # An MP4 begins at 0: what an edit list leaves empty before the first picture is part of it.
            return Timeline(stream.time_base, min(exact, Fraction(0)), stamped=True)
        # Sound that is primed before 0 does not move the picture; and microseconds are not exact.
        start = exact if abs(exact - start) * _MICROSECONDS <= 1 else min(exact, max(start, Fraction(0)))
    return Timeline(stream.time_base, start, stamped=True)


def _is_stamped_in_coding_order(container: InputContainer, stream: VideoStream) -> bool:
    return container.format.name == "avi" and bool(stream.codec_context.has_b_frames)


def _has_an_index(container: InputContainer, stream: VideoStream) -> bool:
    """An MP4 whose timestamps count from its own beginning; those of a fragmented one may come from a broadcast."""
    return container.format.name.startswith("mov,") and stream.frames > 0


def _rate(stream: VideoStream) -> Fraction:
    return stream.guessed_rate or stream.average_rate or _USUAL_RATE
