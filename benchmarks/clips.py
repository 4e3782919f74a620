"""Clips to measure with, made once and kept: upscaled, and repeated to any length without coding anew."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, repeat
from math import sin
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "samples" / "traffic.mp4"
REAL_CLIPS = ROOT.parent / "shared" / "data"
"""Real clips may lie beside the repository; without them its own synthetic sample serves."""


def usual_clip() -> Path:
    real = REAL_CLIPS / "car-detection.mp4"
    return real if real.is_file() else SAMPLE


def full_hd(source: Path, folder: Path, *, frames: int, fps: int = 25) -> Path:
    """``source`` scaled to 1920×1080, H.264 with a keyframe every 2 s, ``frames`` long; begins anew where it ends."""
    target = folder / f"{source.stem}-1080p-{frames}.mp4"
    if target.exists():
        return target
    unfinished = target.with_suffix(".part.mp4")
    with av.open(unfinished, "w") as made:
        stream = made.add_stream("libx264", rate=fps, options={"crf": "21", "preset": "veryfast", "g": str(2 * fps)})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for number, frame in zip(range(frames), _decoded_for_ever(source), strict=False):
            scaled = frame.reformat(1920, 1080, "yuv420p", interpolation="BICUBIC")
            scaled.pts, scaled.time_base = number, Fraction(1, fps)
            scaled.pict_type = PictureType.NONE  # else the source's own types would be forced on the encoder
            made.mux(stream.encode(scaled))
        made.mux(stream.encode(None))
    return unfinished.rename(target)


def panned(source: Path, folder: Path, *, frames: int, fps: int = 25) -> Path:
    """As from a moving camera: a window of 60 % of ``source`` that wanders through the picture, ``frames`` long."""
    target = folder / f"{source.stem}-panned-{frames}.mp4"
    if target.exists():
        return target
    unfinished = target.with_suffix(".part.mp4")
    with av.open(unfinished, "w") as made:
        stream = made.add_stream("libx264", rate=fps, options={"crf": "23", "preset": "veryfast", "g": str(2 * fps)})
        for number, frame in zip(range(frames), _decoded_for_ever(source), strict=False):
            picture = frame.to_ndarray(format="bgr24")
            height, width = (int(side * 0.6) // 2 * 2 for side in picture.shape[:2])
            left = round((picture.shape[1] - width) * (0.5 + 0.5 * sin(number / fps)))
            top = round((picture.shape[0] - height) * (0.5 + 0.5 * sin(number / fps / 1.7)))
            window = np.ascontiguousarray(picture[top : top + height, left : left + width], np.uint8)
            if number == 0:
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            moved = VideoFrame.from_ndarray(window, format="bgr24")
            moved.pts, moved.time_base = number, Fraction(1, fps)
            made.mux(stream.encode(moved))
        made.mux(stream.encode(None))
    return unfinished.rename(target)


def repeated(source: Path, folder: Path, *, seconds: float) -> Path:
    """The packets of ``source`` again and again until the video lasts ``seconds``; nothing is coded anew."""
    target = folder / f"{source.stem}-{seconds:.0f}s.mp4"
    if target.exists():
        return target
    unfinished = target.with_suffix(".part.mp4")
    with av.open(source) as given, av.open(unfinished, "w") as made:
        video = given.streams.video[0]
        copy = made.add_stream_from_template(video)
        assert isinstance(copy, VideoStream)
        assert video.duration is not None
        assert video.time_base is not None
        end, start = seconds / video.time_base, 0
        while start < end:
            given.seek(0)
            for packet in given.demux(video):
                if packet.pts is None or packet.dts is None:
                    continue
                packet.pts, packet.dts, packet.stream = packet.pts + start, packet.dts + start, copy
                made.mux(packet)
            start += video.duration
    return unfinished.rename(target)


def _decoded_for_ever(source: Path) -> Iterator[VideoFrame]:
    for _ in repeat(None):
        with av.open(source) as container:
            yield from chain(container.decode(video=0))
