"""Interlaced video: whatever moves comes without combs, at the time of its frame, and what stands still stays sharp."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tests.contracts.decoder_contract import LIMITS
from tests.support.media_conformance import marked, number_in
from vidintel.application.ports import Frame, Image
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder
from vidintel.infrastructure.media.deinterlacing import combed_blocks

WIDTH, HEIGHT, COUNT = 320, 192, 12
_STEP = 8


def scene(number: int, field: int, *, moves: bool) -> Image:
    """The numbered picture; sharp lines at the lower left, and at the lower right a bar that moves with each field."""
    image = marked(number, WIDTH, HEIGHT)
    image[-24:-8, 8:120] = np.where(np.arange(112) // 2 % 2, 0, 255)[np.newaxis, :, np.newaxis]
    left = 168 + _STEP * (2 * number + field if moves else 3) % 120
    image[-40:, left : left + 16] = 255
    return image


def interlaced(encoder: str, container: str, *, moves: bool) -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format=container) as out:
        stream = out.add_stream(encoder, rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", 4
        stream.bit_rate = 4_000_000
        stream.codec_context.options = {"flags": "+ildct+ilme"}
        for number in range(COUNT):
            woven = scene(number, 0, moves=moves)
            woven[1::2] = scene(number, 1, moves=moves)[1::2]
            frame = av.VideoFrame.from_ndarray(woven, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target.getvalue()


def frames_of(clip: bytes, segment_s: float = 10.0) -> list[Frame]:
    decoder, content = PyAvVideoDecoder(), io.BytesIO(clip)
    plan = decoder.plan(content, segment_s=segment_s, sample_fps=None, limits=LIMITS)
    return [frame for span in plan.segments for frame in decoder.frames(content, span, sample_fps=None)]


def combing(image: Image) -> NDArray[np.bool_]:
    return combed_blocks(np.ascontiguousarray(image[:, :, 1]))


@pytest.mark.parametrize(
    ("encoder", "container"), [("libx264", "mp4"), ("libx264", "mpegts"), ("mpeg2video", "mpegts")]
)
def test_what_moves_does_not_comb(encoder: str, container: str) -> None:
    woven = scene(5, 0, moves=True)
    woven[1::2] = scene(5, 1, moves=True)[1::2]
    assert combing(woven).sum() > 4

    frames = frames_of(interlaced(encoder, container, moves=True))

    assert [number_in(frame.image) for frame in frames] == list(range(COUNT))
    assert [frame.time_s for frame in frames] == pytest.approx([number / 25 for number in range(COUNT)], abs=1e-4)
    assert not any(combing(frame.image).any() for frame in frames)
    for frame in frames:
        truth = scene(frame.index, 0, moves=True)
        strip = slice(HEIGHT - 32, HEIGHT - 8), slice(170, 312)
        assert np.abs(frame.image[strip].astype(int) - truth[strip]).mean() < 12


def test_what_stands_still_keeps_all_its_lines() -> None:
    clip = interlaced("libx264", "mp4", moves=False)

    for frame in frames_of(clip):
        truth = scene(frame.index, 0, moves=False)
        assert np.abs(frame.image.astype(int) - truth).mean() < 6


def test_the_pictures_do_not_depend_on_the_cutting() -> None:
    clip = interlaced("libx264", "mp4", moves=True)

    for one, other in zip(frames_of(clip), frames_of(clip, 0.1), strict=True):
        assert np.array_equal(one.image, other.image)
