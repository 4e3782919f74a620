"""`SubprocessFrameRenderer` with a real child process."""

import asyncio
import os
import signal
from collections.abc import Iterator
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import pytest

from tests.support.media_files import Recipe, even_times, number_in, video
from vidintel.application.ports import Image
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.errors import FrameNotFound, ServiceUnavailable, StorageError, UnreadableVideo
from vidintel.domain.tracking import TrackedFrame
from vidintel.infrastructure.media.drawing import colour_of
from vidintel.infrastructure.media.rendering import RenderLimits, SubprocessFrameRenderer

BOX = BoundingBox(0.25, 0.25, 0.75, 0.75)


def open_in(root: Path, key: str) -> BinaryIO:
    """How the child opens content; ``hang``, ``die`` and ``die-once`` stand for what happens to decoders."""
    if key == "hang":
        signal.pause()
    if key == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if key == "die-once" and not (root / "died").exists():
        (root / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if key == "die-once":
        return (root / "clip").open("rb")
    if not (root / key).exists():
        raise StorageError("There is no such object.")
    return (root / key).open("rb")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "clip").write_bytes(video(even_times(30), Recipe(b_frames=2)))
    (tmp_path / "raw").write_bytes(video(even_times(30), Recipe(container="h264", b_frames=2)))
    (tmp_path / "grey").write_bytes(video([0.0], draw=lambda _: np.full((240, 320, 3), 100, dtype=np.uint8)))
    (tmp_path / "text").write_bytes(b"no video at all")
    return tmp_path


@pytest.fixture
def renderer(root: Path) -> Iterator[SubprocessFrameRenderer]:
    renderer = SubprocessFrameRenderer(partial(open_in, root))
    yield renderer
    renderer.close()


def decoded(jpeg: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, dtype=np.uint8)


async def test_it_shows_the_frame_of_that_time(renderer: SubprocessFrameRenderer) -> None:
    for number in (0, 7, 29):
        assert number_in(decoded(await renderer.jpeg("clip", number / 25 + 0.01, None))) == number


async def test_boxes_land_on_the_picture(renderer: SubprocessFrameRenderer) -> None:
    detections = FrameDetections(0, 0.0, (Detection("car", 0.9, BOX),))
    image = decoded(await renderer.jpeg("grey", 0.0, TrackedFrame(detections, (None,)))).astype(int)

    colour = np.array(colour_of("car"))
    assert np.abs(image[120, 80] - colour).max() < 60, "left edge"
    assert np.abs(image[180, 160] - colour).max() < 60, "bottom edge"
    assert np.abs(image[120, 160] - 100).max() < 20, "inside"
    assert np.abs(image[200, 160] - 100).max() < 20, "outside"


async def test_what_it_cannot_show_is_told(renderer: SubprocessFrameRenderer) -> None:
    for name in ("clip", "raw"):
        with pytest.raises(FrameNotFound):
            await renderer.jpeg(name, 2.0, None)
    with pytest.raises(UnreadableVideo):
        await renderer.jpeg("text", 0.0, None)
    with pytest.raises(StorageError):
        await renderer.jpeg("absent", 0.0, None)


async def test_a_child_that_dies_is_replaced(renderer: SubprocessFrameRenderer) -> None:
    with pytest.raises(UnreadableVideo, match="crashed"):
        await renderer.jpeg("die", 0.0, None)

    assert number_in(decoded(await renderer.jpeg("clip", 0.2, None))) == 5


async def test_a_video_is_not_blamed_for_a_child_that_died_once(renderer: SubprocessFrameRenderer) -> None:
    assert number_in(decoded(await renderer.jpeg("die-once", 0.0, None))) == 0


async def test_only_so_many_pictures_wait(root: Path) -> None:
    renderer = SubprocessFrameRenderer(partial(open_in, root), RenderLimits(waiting=2))
    try:
        answers = await asyncio.gather(*(renderer.jpeg("clip", 0.0, None) for _ in range(3)), return_exceptions=True)
    finally:
        renderer.close()

    assert [isinstance(answer, ServiceUnavailable) for answer in answers] == [False, False, True]


async def test_a_child_that_hangs_is_killed(root: Path) -> None:
    renderer = SubprocessFrameRenderer(partial(open_in, root), RenderLimits(time_s=4.0))
    try:
        with pytest.raises(UnreadableVideo, match="within the time limit"):
            await renderer.jpeg("hang", 0.0, None)

        assert number_in(decoded(await renderer.jpeg("clip", 0.2, None))) == 5
    finally:
        renderer.close()


async def test_closing_leaves_no_process_behind(root: Path) -> None:
    renderer = SubprocessFrameRenderer(partial(open_in, root))
    await renderer.jpeg("clip", 0.0, None)
    assert len(active_children()) == 1

    renderer.close()

    assert active_children() == []
