"""Which frame a player shows at a moment: the last one that begins not after it, until it ends."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import dropwhile

from av.video.frame import VideoFrame

from vidintel.domain.errors import FrameNotFound
from vidintel.infrastructure.media.probe import OpenedVideo

_TOLERANCE_S = 0.0005
"""Moments that clients send are rounded, mostly to milliseconds: a frame that begins this soon after one counts."""


def frames_shown_at(
    video: OpenedVideo, times_s: Sequence[float], *, from_beginning: bool = False
) -> Iterator[tuple[float, VideoFrame]]:
    """Each of ``times_s``, which ascend, with the frame shown then, decoded in one run from where ``video`` stands.

    A moment before the first decoded frame has none: decoding began too late for it. If ``video`` stands at its
    beginning (``from_beginning``), that frame is shown. Raises `FrameNotFound` for a moment after the last frame ended.
    """
    timeline, packets = video.timeline, video.packets()
    if not from_beginning:
        packets = dropwhile(lambda packet: not packet.is_keyframe, packets)
    waiting = deque((time_s, timeline.instant(time_s + _TOLERANCE_S)) for time_s in times_s)
    shown: VideoFrame | None = None
    ends = 0
    for instant, frame in video.decode(packets):
        while waiting and waiting[0][1] < instant:
            time_s, _ = waiting.popleft()
            if shown is not None:
                yield time_s, shown
            elif from_beginning:
                yield time_s, frame
        if not waiting:
            return
        shown, ends = frame, instant + video.length_of(frame)
    if shown is None:
        return
    for time_s, target in waiting:
        if target > ends + timeline.length(_TOLERANCE_S):
            raise FrameNotFound(f"The video ends before {time_s:g} s.")
        yield time_s, shown
