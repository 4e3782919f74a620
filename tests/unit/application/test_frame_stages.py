"""The frame stages of an analysis: shot changes, similar frames, appearance embeddings."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pytest

from tests.contracts.frame_stage_contract import FrameStageContract, make_frame, reading_ahead, seen_in
from tests.support.scripted_media import ScriptedMedia
from tests.unit.application.world import CornerHistogram, Incoming, World, principal, value_of
from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.pipeline.frame_stages import AppearanceStage, FrameStages, ShotChangeStage, SimilarFrameStage
from vidintel.application.pipeline.frames import FrameStage, SegmentFindings, detect_through
from vidintel.application.ports import Frame, Image
from vidintel.application.videos.registration import VideoDetails
from vidintel.domain.analysis import AnalysisSpec
from vidintel.domain.detection import BoundingBox, FrameDetections
from vidintel.domain.shots import FrameColours, ShotChanges


class BrightnessDifferencer:
    """Pictures are similar when they differ by no more than 10."""

    def thumbnail(self, image: Image) -> Image:
        return image.copy()

    def is_similar(self, before: Image, after: Image) -> bool:
        return abs(int(before.flat[0]) - int(after.flat[0])) <= 10


class BrightnessEncoder:
    """An embedding is the brightness of the picture, and the place of the box among the others."""

    def encode(self, image: Image, boxes: Sequence[BoundingBox]) -> Sequence[bytes]:
        return [bytes([image.flat[0], place]) for place in range(len(boxes))]


class TestShotChangeStage(FrameStageContract):
    @pytest.fixture
    def new_stage(self) -> Callable[[], FrameStage]:
        return lambda: ShotChangeStage(CornerHistogram())


class TestSimilarFrameStage(FrameStageContract):
    @pytest.fixture
    def new_stage(self) -> Callable[[], FrameStage]:
        return lambda: SimilarFrameStage(BrightnessDifferencer())


class TestAppearanceStage(FrameStageContract):
    @pytest.fixture
    def new_stage(self) -> Callable[[], FrameStage]:
        return lambda: AppearanceStage(BrightnessEncoder())


def test_shot_changes_are_found_in_all_frames() -> None:
    stage = ShotChangeStage(CornerHistogram())
    frames = [make_frame(index, brightness) for index, brightness in enumerate((0, 10, 200, 210, 0))]
    list(detect_through([stage], iter(frames), reading_ahead(2)))

    dark = (1, 0)
    assert stage.add_findings(SegmentFindings()).shots == ShotChanges(
        FrameColours(0.0, dark), FrameColours(0.4, dark), (0.2, 0.4)
    )


@pytest.mark.parametrize("read_ahead", [0, 1, 4, 20])
def test_each_detection_is_encoded_in_its_own_frame_also_when_the_detector_leaves_some_out(read_ahead: int) -> None:
    frames = [make_frame(index, 10 * index) for index in range(10)]

    def detect(frames: Iterator[Frame]) -> Iterator[FrameDetections]:
        return reading_ahead(read_ahead)(frame for frame in frames if frame.index != 5)

    found = list(detect_through([AppearanceStage(BrightnessEncoder())], iter(frames), detect))

    assert [seen.frame for seen in found] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert [[one.appearance for one in seen.detections] for seen in found] == [
        [bytes([10 * seen.frame, place]) for place in range(seen.frame % 3)] for seen in found
    ]


def reused(frames: Iterable[Frame], *, read_ahead: int = 0) -> tuple[list[int], list[FrameDetections], int]:
    """The indexes that were analysed, what came out, and how many frames were reused."""
    stage = SimilarFrameStage(BrightnessDifferencer())
    analysed: list[int] = []

    def noted(frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            analysed.append(frame.index)
            yield frame

    found = list(detect_through([stage], iter(frames), lambda kept: reading_ahead(read_ahead)(noted(kept))))
    return analysed, found, stage.add_findings(SegmentFindings()).frames_reused


def test_a_frame_like_the_last_analysed_one_gets_its_detections_and_is_marked() -> None:
    analysed, found, count = reused([make_frame(1, 0), make_frame(5, 4), make_frame(10, 90)])

    assert analysed == [1, 10]
    assert [(each.frame, each.time_s, each.reused) for each in found] == [
        (1, 0.1, False),
        (5, 0.5, True),
        (10, 1.0, False),
    ]
    assert found[1].detections == found[0].detections != found[2].detections
    assert count == 1


def test_slow_changes_add_up() -> None:
    analysed, _, _ = reused([make_frame(index, 4 * index) for index in range(8)])

    assert analysed == [0, 3, 6]


def test_frames_of_different_groups_are_not_compared() -> None:
    frames = [make_frame(0, 7), make_frame(1, 7), make_frame(2, 7, group=1), make_frame(3, 7, group=1)]
    analysed, _, _ = reused(frames)

    assert analysed == [0, 2]


def test_reused_frames_keep_their_order_however_far_the_detector_reads_ahead() -> None:
    frames = [make_frame(index, 100 * (index // 3 % 2)) for index in range(20)]
    by_read_ahead = [reused(frames, read_ahead=count) for count in (0, 1, 4, 50)]

    assert [each.frame for each in by_read_ahead[0][1]] == list(range(20))
    assert all(each == by_read_ahead[0] for each in by_read_ahead)


def test_reused_frames_get_the_embeddings_of_the_analysed_one_and_count_for_shot_changes() -> None:
    frames = [make_frame(1, 120), make_frame(2, 129), make_frame(3, 200)]
    stages = FrameStages(CornerHistogram(), BrightnessDifferencer(), BrightnessEncoder())(
        AnalysisSpec("traffic", reuse_similar=True)
    )

    found = list(detect_through(stages, iter(frames), reading_ahead(1)))
    findings = SegmentFindings(found)
    for stage in stages:
        findings = stage.add_findings(findings)

    assert [[one.appearance for one in seen.detections] for seen in found] == [[b"\x78\x00"], [b"\x78\x00"], []]
    assert findings.frames_reused == 1
    assert findings.shots is not None
    assert findings.shots.times_s == (0.2,)


def test_frames_are_not_compared_unless_the_spec_says_so() -> None:
    stages = FrameStages(CornerHistogram(), BrightnessDifferencer(), BrightnessEncoder())(AnalysisSpec("traffic"))
    frames = [make_frame(1, 0), make_frame(2, 0)]

    found = list(detect_through(stages, iter(frames), reading_ahead(1)))

    assert [each.reused for each in found] == [False, False]
    assert [len(each.detections) for each in found] == [len(seen_in(frame).detections) for frame in frames]


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
        summary = (await uow.results.of_job(job.tenant_id, job.id)).summary
    assert summary is not None
    assert (summary.frames_analysed, summary.frames_reused) == (20, 10)
