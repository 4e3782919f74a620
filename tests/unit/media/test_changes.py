"""What counts as a change between two frames."""

import cv2
import numpy as np
import pytest

from vidintel.application.ports import Image
from vidintel.infrastructure.media.frame_differencing import BlockFrameDifferencer

DIFFERENCER = BlockFrameDifferencer()


def street(width: int, height: int, *, noise: float = 0.0, seed: int = 0) -> Image:
    """A grey ground with some texture, and what a camera and a codec add to it."""
    texture = np.random.default_rng(1).normal(110, 12, (height // 8, width // 8, 3))
    picture = cv2.resize(texture, (width, height), interpolation=cv2.INTER_LINEAR)
    picture = picture + np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def with_person(picture: Image, left: int, size: int) -> Image:
    top = picture.shape[0] // 2
    changed = picture.copy()
    changed[top : top + size, left : left + size] = (40, 40, 200)
    return changed


def is_similar(before: Image, after: Image) -> bool:
    return DIFFERENCER.is_similar(DIFFERENCER.thumbnail(before), DIFFERENCER.thumbnail(after))


@pytest.mark.parametrize(("width", "height"), [(640, 360), (1920, 1080), (161, 91), (360, 640)])
def test_noise_is_no_change(width: int, height: int) -> None:
    assert is_similar(street(width, height, noise=4.0, seed=1), street(width, height, noise=4.0, seed=2))


@pytest.mark.parametrize(("width", "height"), [(640, 360), (1920, 1080), (360, 640)])
def test_one_person_who_comes_or_takes_a_step_is_a_change(width: int, height: int) -> None:
    empty = street(width, height)
    size = width // 53  # 12 pixels of 640
    here, there = with_person(empty, width // 3, size), with_person(empty, width // 3 + size, size)

    assert not is_similar(empty, here)
    assert not is_similar(here, there)
    assert is_similar(here, here)


def test_a_change_of_colour_alone_is_a_change() -> None:
    red, blue = (np.zeros((90, 160, 3), np.uint8) for _ in range(2))
    red[..., 2], blue[..., 0] = 60, 60

    assert not is_similar(red, blue)
