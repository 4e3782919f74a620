"""`PyAvVideoDecoder` on ordinary and odd files."""

import io
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from tests.contracts.decoder_contract import EVEN, UNEVEN, MakeClip, VideoDecoderContract, frames_of, plan_of
from tests.support.media_files import (
    Recipe,
    corner_marked,
    cut_off,
    even_times,
    number_in,
    sound_only,
    video,
    with_claimed_duration,
    without_frames,
    without_index,
)
from vidintel.application.ports import VideoDecoder
from vidintel.domain.errors import DomainError, NotAVideo, NoVideoStream, ResolutionUnsupported
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder

DECODER = PyAvVideoDecoder()


class _PyAvContract(VideoDecoderContract):
    recipe = Recipe()

    @pytest.fixture
    def decoder(self) -> VideoDecoder:
        return PyAvVideoDecoder()

    @pytest.fixture
    def make_clip(self) -> MakeClip:
        def make(times: Sequence[float], keyframe_every: int) -> bytes:
            if not times:
                return without_frames()
            return video(times, self.recipe.with_keyframes(keyframe_every))

        return make


class TestMp4(_PyAvContract):
    pass


class TestMp4WithOpenGroupsOfPictures(_PyAvContract):
    recipe = Recipe(b_frames=3, open_gop=True)


class TestMatroskaWithBFrames(_PyAvContract):
    recipe = Recipe(container="matroska", b_frames=2)


class TestMpegTransportStreamWithBFrames(_PyAvContract):
    recipe = Recipe(container="mpegts", b_frames=2, open_gop=True)


RECIPES = {
    "mov": Recipe(container="mov", b_frames=2),
    "fragmented mp4": Recipe(b_frames=2, fragmented=True),
    "flv": Recipe(container="flv", b_frames=2),
    "avi": Recipe(container="avi"),
    "avi with B-frames": Recipe(container="avi", b_frames=2),
    "raw h264": Recipe(container="h264", b_frames=3),
    "mpeg program stream": Recipe(container="mpeg", codec="mpeg2video"),
    "vp8 with invisible frames": Recipe(container="webm", codec="libvpx", hidden_frames=True),
    "vp9": Recipe(container="webm", codec="libvpx-vp9"),
    "h265 with open groups of pictures": Recipe(codec="libx265", b_frames=3, open_gop=True),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_picture_is_numbered_as_it_was_filmed(recipe: Recipe) -> None:
    clip = video(EVEN, recipe)
    plan = plan_of(DECODER, clip, 0.4, None)

    frames = frames_of(DECODER, clip, plan, None)

    assert [number_in(frame.image) for frame in frames] == list(range(60))
    assert [frame.index for frame in frames] == list(range(60))
    shift = frames[0].time_s  # an AVI from this muxer begins one frame late
    assert [frame.time_s - shift for frame in frames] == pytest.approx(EVEN, abs=1e-3)
    assert plan.media.frame_rate == pytest.approx(25.0, abs=0.01)


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_a_picture_is_the_same_whichever_segment_it_is_decoded_in(container: str) -> None:
    clip = video(UNEVEN, Recipe(container=container, b_frames=3, open_gop=True, keyframe_every=5))
    whole = frames_of(DECODER, clip, plan_of(DECODER, clip, 100.0, None), None)
    cut = frames_of(DECODER, clip, plan_of(DECODER, clip, 0.1, None), None)

    assert [number_in(frame.image) for frame in whole] == list(range(len(UNEVEN)))
    for one, other in zip(whole, cut, strict=True):
        assert np.array_equal(one.image, other.image)


@pytest.mark.parametrize("start_s", [0.0, 1.5])
@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_the_times_of_a_matroska_file_of_few_pictures_are_those_in_it(count: int, start_s: float) -> None:
    """FFmpeg does not tell when so short a file begins."""
    clip = video([start_s + second for second in range(count)], Recipe(container="matroska"))
    plan = plan_of(DECODER, clip, 100.0, None)

    assert [frame.time_s for frame in frames_of(DECODER, clip, plan, None)] == pytest.approx(range(count), abs=1e-3)
    assert plan.media.duration_s == pytest.approx(count - 1, abs=0.05)
    assert plan.warnings == ()


@pytest.mark.parametrize("container", ["matroska", "mpegts", "flv"])
def test_a_late_start_of_the_file_is_what_the_player_shows_as_zero(container: str) -> None:
    clip = video(even_times(30, start_s=5.0), Recipe(container=container, b_frames=2))
    plan = plan_of(DECODER, clip, 0.4, None)

    assert [frame.time_s for frame in frames_of(DECODER, clip, plan, None)] == pytest.approx(even_times(30), abs=1e-3)
    assert plan.media.duration_s == pytest.approx(1.2, abs=2e-3)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_pictures_that_begin_after_the_sound_keep_their_delay(container: str) -> None:
    clip = video(even_times(30, start_s=0.5), Recipe(container=container, sound_from_s=0.0))

    frames = frames_of(DECODER, clip, plan_of(DECODER, clip, 0.4, None), None)

    assert [frame.time_s for frame in frames] == pytest.approx(even_times(30, start_s=0.5), abs=1e-3)


@pytest.mark.parametrize(
    ("recipe", "corner", "rotation"),
    [
        (Recipe(), "top left", 0),
        (Recipe(rotation=90), "bottom left", 270),
        (Recipe(rotation=180), "bottom right", 180),
        (Recipe(rotation=-90), "top right", 90),
        (Recipe(mirrored=True), "top right", 0),
    ],
)
def test_pictures_come_as_they_are_displayed(recipe: Recipe, corner: str, rotation: int) -> None:
    clip = video(even_times(3), recipe, draw=corner_marked)
    plan = plan_of(DECODER, clip, 10.0, None)
    image = frames_of(DECODER, clip, plan, None)[0].image

    height, width = image.shape[:2]
    corners = {
        "top left": image[4, 4],
        "top right": image[4, width - 5],
        "bottom left": image[height - 5, 4],
        "bottom right": image[height - 5, width - 5],
    }
    assert max(corners, key=lambda name: int(corners[name][2]) - int(corners[name][1])) == corner
    assert plan.media.rotation == rotation
    assert (plan.media.width, plan.media.height) == (width, height)
    assert (width < height) == (rotation in {90, 270})


def test_pixels_are_made_square() -> None:
    clip = video(even_times(3), Recipe(pixel_aspect=Fraction(4, 3)))
    plan = plan_of(DECODER, clip, 10.0, None)

    assert (plan.media.width, plan.media.height) == (213, 64)
    assert frames_of(DECODER, clip, plan, None)[0].image.shape == (64, 213, 3)


def test_an_untrue_header_does_not_lengthen_the_video() -> None:
    clip = with_claimed_duration(video(even_times(25)), hours=10)
    plan = plan_of(DECODER, clip, 0.4, 5.0)

    assert plan.media.duration_s == pytest.approx(1.0)
    assert len(frames_of(DECODER, clip, plan, 5.0)) == 5


def test_a_file_cut_off_in_the_middle_gives_what_is_left() -> None:
    clip = cut_off(video(even_times(60), Recipe(index_first=True)), 0.6)
    plan = plan_of(DECODER, clip, 0.4, None)

    frames = frames_of(DECODER, clip, plan, None)

    assert 10 < len(frames) < 60
    assert [number_in(frame.image) for frame in frames] == [frame.index for frame in frames]


def test_damage_in_the_middle_costs_only_what_is_damaged() -> None:
    clip = bytearray(video(even_times(60)))
    middle = (clip.index(b"mdat") + clip.index(b"moov")) // 2
    clip[middle : middle + 150] = bytes(150)
    plan = plan_of(DECODER, bytes(clip), 0.4, None)

    frames = frames_of(DECODER, bytes(clip), plan, None)

    assert plan.media.frame_count == 60
    assert {frame.index for frame in frames} >= {*range(20), *range(50, 60)}
    assert all(number_in(frame.image) == frame.index for frame in frames if not 20 <= frame.index < 50)


def test_an_mp4_without_its_index_is_told_so() -> None:
    with pytest.raises(NotAVideo, match="moov"):
        plan_of(DECODER, without_index(video(even_times(10))), 10.0, None)


def test_sound_alone_is_no_video() -> None:
    with pytest.raises(NoVideoStream):
        plan_of(DECODER, sound_only(), 10.0, None)


def test_cover_art_is_no_video() -> None:
    with pytest.raises(NoVideoStream):
        plan_of(DECODER, sound_only(cover=True), 10.0, None)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16_384, 16), (16, 16_384)])
def test_extreme_pictures_are_refused(width: int, height: int) -> None:
    recipe = Recipe(container="matroska", codec="ffv1", pixel_format="bgr0")
    clip = video([0.0], recipe, draw=lambda _: np.zeros((height, width, 3), dtype=np.uint8))
    with pytest.raises(ResolutionUnsupported, match="pixels"):
        plan_of(DECODER, clip, 10.0, None)


def test_the_picture_shown_at_a_time() -> None:
    clip = video(UNEVEN, Recipe(b_frames=3, open_gop=True, keyframe_every=5))
    for number, time_s in enumerate(UNEVEN):
        assert number_in(DECODER.picture_at(io.BytesIO(clip), time_s)) == number
        assert number_in(DECODER.picture_at(io.BytesIO(clip), time_s + 0.005)) == number
    assert number_in(DECODER.picture_at(io.BytesIO(clip), -3.0)) == 0


def test_there_is_no_picture_after_the_end() -> None:
    clip = video(even_times(30), Recipe(container="mpegts"))

    assert number_in(DECODER.picture_at(io.BytesIO(clip), 1.19)) == 29
    with pytest.raises(DomainError) as caught:
        DECODER.picture_at(io.BytesIO(clip), 1.25)
    assert caught.value.code == "frame_not_found"
