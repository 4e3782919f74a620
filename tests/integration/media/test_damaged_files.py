"""Truncated and partly corrupt files give the frames that can be had, and say what is wrong."""

import io

import numpy as np
import pytest

from tests.contracts.decoder_contract import LIMITS
from tests.support.media_conformance import Coded, number_in
from tests.support.media_files import Recipe, cut_off, even_times
from vidintel.application.ports import Frame, MediaPlan
from vidintel.domain.errors import DomainError
from vidintel.domain.video import MediaWarning
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder

COUNT = 60
TIMES = even_times(COUNT)
FORMATS = {
    "mp4": Recipe(keyframe_every=8, index_first=True),
    "fragmented mp4": Recipe(keyframe_every=8, fragmented=True),
    "matroska": Recipe("matroska", keyframe_every=8),
    "webm": Recipe("webm", "libvpx-vp9", keyframe_every=8),
    "mpegts": Recipe("mpegts", keyframe_every=8),
    "avi": Recipe("avi", "mpeg4", keyframe_every=8),
    "flv": Recipe("flv", keyframe_every=8),
    "raw h264": Recipe("h264", keyframe_every=8),
}


def analysed(clip: bytes) -> tuple[MediaPlan, list[Frame], list[MediaWarning]]:
    decoder, content = PyAvVideoDecoder(), io.BytesIO(clip)
    plan = decoder.plan(content, segment_s=0.3, sample_fps=None, limits=LIMITS)
    warnings = list(plan.warnings)
    frames: list[Frame] = []
    for span in plan.segments:
        frames += decoder.frames(content, span, sample_fps=None, warn=warnings.append)
    return plan, frames, warnings


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_ends_early_gives_the_frames_before(name: str) -> None:
    whole = Coded(FORMATS[name], TIMES)()
    clip = cut_off(whole, 0.6) if name == "mp4" else whole[: round(len(whole) * 0.6)]

    _, frames, warnings = analysed(clip)

    numbers = [number_in(frame.image) for frame in frames]
    assert 8 <= len(frames) < COUNT
    # The last picture may be half there.
    assert numbers[:-1] == [frame.index for frame in frames][:-1]
    codes = {warning.code for warning in warnings}
    assert codes <= {"truncated", "corrupt_frames"}
    if name in {"mp4", "matroska", "webm", "avi"}:  # the others promise no length
        assert "truncated" in codes


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("seed", range(4))
def test_scattered_damage_never_invents_or_disorders_frames(name: str, seed: int) -> None:
    clip = bytearray(Coded(FORMATS[name], TIMES)())
    start = clip.index(b"mdat") + 4 if name == "mp4" else len(clip) // 10
    for at in np.random.default_rng(seed).integers(start, len(clip), 6):
        clip[at] ^= 0x55

    try:
        plan, frames, warnings = analysed(bytes(clip))
    except DomainError:
        return

    indexes = [frame.index for frame in frames]
    assert indexes == sorted(set(indexes))
    assert [frame.time_s for frame in frames] == sorted({frame.time_s for frame in frames})
    assert len(frames) <= plan.media.frame_count
    if len(frames) < plan.media.frame_count:
        assert "corrupt_frames" in {warning.code for warning in warnings}


def test_a_hole_costs_the_frames_in_it_and_is_told() -> None:
    clip = bytearray(Coded(FORMATS["mp4"], TIMES)())
    start = clip.index(b"mdat")
    middle = start + (len(clip) - start) // 2
    clip[middle : middle + 300] = bytes(300)

    plan, frames, _ = analysed(bytes(clip))

    assert plan.media.frame_count == COUNT
    right = [frame.index for frame in frames if number_in(frame.image) == frame.index]
    assert {*range(20), *range(52, COUNT)} <= set(right)


def test_a_file_of_which_nothing_can_be_decoded_is_refused() -> None:
    clip = bytearray(Coded(FORMATS["mp4"], TIMES)())
    start = clip.index(b"mdat") + 4
    clip[start:] = bytes(len(clip) - start)

    with pytest.raises(DomainError) as caught:
        analysed(bytes(clip))
    assert caught.value.code == "unreadable_video"
