"""`PyAvSnapshotExtractor` on real files: the right moments, cut and joined."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from tests.support.media_files import Recipe, cut_off, even_times, number_in, video
from vidintel.application.ports import Image, SnapshotRequest
from vidintel.domain.detection import BoundingBox
from vidintel.domain.errors import FrameNotFound
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder
from vidintel.infrastructure.media.snapshots import PyAvSnapshotExtractor

EXTRACTOR = PyAvSnapshotExtractor(PyAvVideoDecoder())
RECIPES = [
    Recipe(),
    Recipe(b_frames=2, open_gop=True),
    Recipe(container="mpegts", b_frames=2),
    Recipe(container="matroska", keyframe_every=250),
]


def taken(clip: bytes, requests: Sequence[SnapshotRequest]) -> dict[str, Image]:
    made = {}
    for name, jpeg in EXTRACTOR.take(io.BytesIO(clip), requests):
        assert name not in made
        decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        made[name] = np.asarray(decoded, dtype=np.uint8)
    return made


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_picture_is_the_one_shown_at_its_moment(recipe: Recipe) -> None:
    clip = video(even_times(250), recipe)
    numbers = [0, 1, 3, 40, 100, 101, 220, 249]
    times = [PyAvVideoDecoder().picture_at(io.BytesIO(clip), number / 25) for number in numbers]
    expected = [number_in(image) for image in times]

    requests = [SnapshotRequest(str(number), (number / 25,)) for number in reversed(numbers)]
    made = taken(clip, requests)

    assert [number_in(made[str(number)]) for number in numbers] == expected == numbers


@pytest.mark.parametrize("recipe", RECIPES)
def test_pictures_for_keeping_and_for_showing_are_of_the_same_frame_at_any_moment(recipe: Recipe) -> None:
    clip, decoder = video(even_times(75), recipe), PyAvVideoDecoder()
    moments = [number / 25 + shift for number in (0, 1, 37, 74) for shift in (-0.0012, -0.0004, 0.0, 0.03)]
    made = taken(clip, [SnapshotRequest(f"{moment:g}", (moment,)) for moment in [*moments, 3.1, 60.0]])

    shown = {f"{moment:g}": number_in(decoder.picture_at(io.BytesIO(clip), moment)) for moment in moments}
    assert {name: number_in(image) for name, image in made.items()} == shown
    assert [shown[name] for name in ("0.0388", "0.0396", "0.04")] == [0, 1, 1]
    for after_the_end in (3.1, 60.0):
        with pytest.raises(FrameNotFound):
            decoder.picture_at(io.BytesIO(clip), after_the_end)


def test_a_strip_shows_its_moments_from_left_to_right() -> None:
    clip = video(even_times(100), Recipe(b_frames=2))

    strip = taken(clip, [SnapshotRequest("preview", (0.0, 1.2, 2.0, 3.96))])["preview"]

    assert strip.shape == (64, 640, 3)
    pieces = np.split(strip, 4, axis=1)
    assert [number_in(piece) for piece in pieces] == [0, 30, 50, 99]


def test_a_shot_is_cut_to_its_box_and_a_little_around() -> None:
    def half_white(_: int) -> Image:
        image = np.zeros((400, 800, 3), dtype=np.uint8)
        image[100:300, 200:400] = 255
        return image

    clip = video(even_times(5), draw=half_white)
    (shot,) = taken(clip, [SnapshotRequest("shot-1", (0.08,), BoundingBox(0.25, 0.25, 0.5, 0.75))]).values()

    assert shot.shape == (241, 241, 3)
    assert shot[30:-30, 30:-30].min() > 200
    assert shot[:12].max() < 60


def test_large_pictures_are_made_smaller() -> None:
    clip = video(even_times(2), draw=lambda _: np.full((1080, 1920, 3), 90, dtype=np.uint8))

    made = taken(clip, [SnapshotRequest("poster", (0.0,)), SnapshotRequest("shot-1", (0.0,), BoundingBox(0, 0, 1, 1))])

    assert (made["poster"].shape, made["shot-1"].shape) == ((720, 1280, 3), (180, 320, 3))


def test_boxes_at_the_rim_and_without_area_give_a_picture() -> None:
    clip = video(even_times(2))
    boxes = [BoundingBox(1, 1, 1, 1), BoundingBox(0, 0, 0, 0), BoundingBox(0, 0, 1, 1)]

    made = taken(clip, [SnapshotRequest(str(place), (0.0,), box) for place, box in enumerate(boxes)])

    assert len(made) == 3


def test_what_a_broken_file_no_longer_has_is_left_out() -> None:
    clip = cut_off(video(even_times(100), Recipe(index_first=True)), 0.5)
    requests = [
        SnapshotRequest("poster", (0.4,)),
        SnapshotRequest("late", (60.0,)),
        SnapshotRequest("preview", (0.0, 60.0)),
    ]

    made = taken(clip, requests)

    assert set(made) == {"poster", "preview"}
    assert made["preview"].shape == (64, 320, 3)
    assert made["preview"][:, 160:].max() < 30


def test_of_what_is_no_video_there_are_no_pictures() -> None:
    assert taken(b"no video at all", [SnapshotRequest("poster", (0.0,))]) == {}
