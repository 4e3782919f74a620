"""Frames that sampling does not need are not decoded where nothing is built upon them, and this changes no picture."""

import io

import numpy as np
import pytest

from tests.contracts.decoder_contract import plan_of
from tests.support.media_files import Recipe, even_times, video
from vidintel.application.ports import Frame, Image
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder
from vidintel.infrastructure.media.probe import open_video

DECODER = PyAvVideoDecoder()
COUNT = 100


def restless(number: int) -> Image:
    """A smooth texture that drifts, so that each picture is coded as changes of others."""
    rows, columns = np.mgrid[0:96, 0:160]
    waves = 127 + 60 * np.sin((columns + 3 * number) / 9) + 60 * np.cos((rows - 2 * number) / 7)
    return np.repeat(waves.astype(np.uint8)[:, :, np.newaxis], 3, axis=2)


def read(content: bytes, sample_fps: float | None, segment_s: float) -> list[Frame]:
    with io.BytesIO(content) as stream:
        spans = plan_of(DECODER, content, segment_s=segment_s, sample_fps=sample_fps).segments
        return [frame for span in spans for frame in DECODER.frames(stream, span, sample_fps=sample_fps)]


@pytest.mark.parametrize("sample_fps", [1.0, 5.0, 12.0])
@pytest.mark.parametrize("segment_s", [0.5, 60.0])
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(b_frames=3, keyframe_every=20),
        Recipe(b_frames=3, keyframe_every=20, open_gop=True),
        Recipe(container="matroska", b_frames=8, keyframe_every=50),
        Recipe(container="mpegts", b_frames=2, keyframe_every=30, open_gop=True),
        Recipe(keyframe_every=25),
        Recipe(codec="libx265", b_frames=3, keyframe_every=20),
    ],
    ids=str,
)
def test_sampled_frames_are_those_of_decoding_everything(recipe: Recipe, segment_s: float, sample_fps: float) -> None:
    content = video(even_times(COUNT), recipe, restless)
    everything = {frame.index: frame for frame in read(content, None, segment_s)}
    sampled = read(content, sample_fps, segment_s)
    assert len(sampled) == round(sample_fps * COUNT / 25)
    for frame in sampled:
        assert frame.time_s == everything[frame.index].time_s
        assert np.array_equal(frame.image, everything[frame.index].image)


def test_frames_that_nothing_is_built_upon_are_not_decoded() -> None:
    content = video(even_times(COUNT), Recipe(b_frames=3, keyframe_every=50), restless)
    with io.BytesIO(content) as stream, open_video(stream) as opened:
        wanted = sorted(picture.instant for picture in opened.pictures())[::10]
    with io.BytesIO(content) as stream, open_video(stream) as opened:
        decoded = [instant for instant, _ in opened.decode(opened.packets(), frozenset(wanted))]
    assert set(wanted) <= set(decoded)
    assert len(decoded) < 0.7 * COUNT
