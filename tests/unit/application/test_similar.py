"""Frames that look like the last analysed one get its detections."""

from collections.abc import Iterable, Iterator

import numpy as np

from tests.support.factories import make_detection
from tests.unit.application.world import Incoming, ScriptedMedia, World, principal, value_of
from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.pipeline.similar_frames import SimilarFrames
from vidintel.application.ports import Frame, Image
from vidintel.application.videos.registration import VideoDetails
from vidintel.domain.detection import FrameDetections


class BrightnessGauge:
    """Pictures are alike when they differ by no more than 10."""

    def sketch(self, image: Image) -> Image:
        return image

    def is_alike(self, before: Image, after: Image) -> bool:
        return abs(int(before.flat[0]) - int(after.flat[0])) <= 10


def frame(index: int, brightness: int, group: int = 0) -> Frame:
    return Frame(index, index / 10, np.full((1, 1, 3), brightness, np.uint8), group)


def run(frames: Iterable[Frame], *, read_ahead: int = 1) -> tuple[list[int], list[FrameDetections], int]:
    """The indexes that were analysed, what came out, and how many were reused; detections tell the index in them."""
    similar = SimilarFrames(BrightnessGauge())
    analysed: list[int] = []

    def detect(frames: Iterator[Frame]) -> Iterator[FrameDetections]:
        waiting: list[Frame] = []
        for each in frames:
            analysed.append(each.index)
            waiting.append(each)
            if len(waiting) == read_ahead:
                yield seen(waiting.pop(0))
        yield from map(seen, waiting)

    return analysed, list(similar.restored(detect(similar.distinct(frames)))), similar.reused


def seen(of: Frame) -> FrameDetections:
    return FrameDetections(of.index, of.time_s, (make_detection(confidence=of.index / 100),))


def test_a_frame_like_the_last_analysed_one_gets_its_detections_and_is_marked() -> None:
    analysed, found, reused = run([frame(0, 0), frame(5, 4), frame(10, 90)])

    assert analysed == [0, 10]
    assert [(each.frame, each.time_s, each.reused) for each in found] == [
        (0, 0.0, False),
        (5, 0.5, True),
        (10, 1.0, False),
    ]
    assert found[1].detections == found[0].detections != found[2].detections
    assert reused == 1


def test_slow_changes_add_up() -> None:
    analysed, _, _ = run([frame(index, 4 * index) for index in range(8)])

    assert analysed == [0, 3, 6]


def test_frames_of_different_groups_are_not_compared() -> None:
    analysed, _, _ = run([frame(0, 7), frame(1, 7), frame(2, 7, group=1), frame(3, 7, group=1)])

    assert analysed == [0, 2]


def test_order_is_kept_however_far_the_detector_reads_ahead() -> None:
    frames = [frame(index, 100 * (index // 3 % 2)) for index in range(20)]
    by_read_ahead = [run(frames, read_ahead=count) for count in (1, 2, 5, 50)]

    assert [each.frame for each in by_read_ahead[0][1]] == list(range(20))
    assert all(each == by_read_ahead[0] for each in by_read_ahead)


async def test_reused_frames_are_marked_and_counted_in_the_results() -> None:
    class Still(ScriptedMedia):
        def frames(self, *arguments: object, **options: object) -> Iterator[Frame]:
            for each in super().frames(*arguments, **options):  # type: ignore[arg-type]  # passed on as they are
                yield Frame(each.index, each.time_s, np.zeros((2, 2, 3), np.uint8), each.index // 10)

    world = World(media=Still())
    details = VideoDetails(spec=SpecRequest(reuse_similar=True))
    job = value_of(await world.register(principal(), Incoming(details=details))).job.job
    await world.work_off()

    detections = await world.detections(job)
    # the fake detector sees something in every other frame; groups hold two, of which the first is analysed
    assert [(each.frame, each.reused) for each in detections] == [
        (index, index % 10 != 0) for index in range(0, 100, 5)
    ]
    async with world.database.unit_of_work() as uow:
        summary = (await uow.results.of_job(job.tenant_id, job.id))["summary"]
    assert (summary["frames_analysed"], summary["frames_reused"]) == (20, 10)
