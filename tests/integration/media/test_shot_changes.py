"""The colour histogram and the rule for shot changes, on real pictures."""

import io

import cv2
import numpy as np
import pytest

from tests.e2e.serving import SAMPLE
from tests.support.media_files import even_times, video
from vidintel.application.ports import Image, MediaLimits
from vidintel.domain.shots import FrameColours, ShotChangesFold
from vidintel.infrastructure.media.colour_histogram import HsvColourHistogram
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder

DECODER, HISTOGRAM = PyAvVideoDecoder(), HsvColourHistogram()


def changes_in(clip: bytes, sample_fps: float) -> tuple[float, ...]:
    content, fold = io.BytesIO(clip), ShotChangesFold()
    plan = DECODER.plan(content, segment_s=100, sample_fps=sample_fps, limits=MediaLimits(3600, 8192))
    for span in plan.segments:
        for frame in DECODER.frames(content, span, sample_fps=sample_fps):
            fold.add(FrameColours(frame.time_s, HISTOGRAM.counts(frame.image)))
    found = fold.result()
    assert found is not None
    return found.times_s


def scene(ground: tuple[int, int, int], number: int) -> Image:
    """A box that moves over ground of one colour (BGR)."""
    image = np.full((144, 256, 3), ground, dtype=np.uint8)
    left = number * 3 % 200
    cv2.rectangle(image, (left, 50), (left + 50, 90), (30, 30, 200), cv2.FILLED)
    return image


@pytest.mark.parametrize("sample_fps", [2.0, 5.0, 25.0])
def test_the_sample_has_no_cut(sample_fps: float) -> None:
    assert changes_in(SAMPLE.read_bytes(), sample_fps) == ()


@pytest.mark.parametrize("sample_fps", [2.0, 5.0, 25.0])
def test_the_cut_of_a_joined_clip_is_found_within_one_sample(sample_fps: float) -> None:
    grass, road = (60, 140, 70), (120, 120, 120)
    clip = video(even_times(150), draw=lambda number: scene(grass if number < 83 else road, number))

    (found,) = changes_in(clip, sample_fps)

    assert found + 1e-6 >= 83 / 25
    assert found <= 83 / 25 + 1 / sample_fps


def test_movement_and_slowly_changing_light_are_no_cut() -> None:
    def dusk(number: int) -> Image:
        return (scene((160, 160, 160), number) * (1.0 - number / 200)).astype(np.uint8)

    assert changes_in(video(even_times(150), draw=dusk), 5.0) == ()


def test_every_pixel_is_counted_once() -> None:
    for colour in ((0, 0, 0), (255, 255, 255), (0, 0, 255), (60, 140, 70), (250, 40, 250)):
        counts = HISTOGRAM.counts(np.full((1, 1, 3), colour, dtype=np.uint8))
        assert len(counts) == 18
        assert abs(sum(counts) - 64 * 64 * 16) <= 9
