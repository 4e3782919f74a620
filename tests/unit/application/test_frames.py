"""The frame pipeline: the order in which frames pass its stages, and that a new stage is one class."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from tests.contracts.frame_stage_contract import FrameStageContract, make_frame, reading_ahead
from tests.unit.application.world import World, value_of
from vidintel.application.pipeline.frames import FrameStage, SegmentFindings, detect_through
from vidintel.application.ports import Frame
from vidintel.domain.analysis import AnalysisSpec
from vidintel.domain.detection import FrameDetections
from vidintel.domain.video import MediaWarning


class LabelledStage(FrameStage):
    """A stage as somebody might add it: it uses the frames, the detections, and reports on the whole segment."""

    def __init__(self) -> None:
        self._frames = 0

    def before_detection(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            self._frames += 1
            yield frame

    def after_detection(self, detected: Iterator[FrameDetections]) -> Iterator[FrameDetections]:
        for seen in detected:
            yield replace(seen, detections=tuple(replace(one, label="seen " + one.label) for one in seen.detections))

    def add_findings(self, findings: SegmentFindings) -> SegmentFindings:
        if not self._frames:
            return findings
        return replace(findings, warnings=[*findings.warnings, MediaWarning("frames_counted", f"{self._frames}")])


class TestLabelledStage(FrameStageContract):
    @pytest.fixture
    def new_stage(self) -> type[FrameStage]:
        return LabelledStage


class TestPassingStage(FrameStageContract):
    """A stage that overrides nothing changes nothing."""

    @pytest.fixture
    def new_stage(self) -> type[FrameStage]:
        class PassingStage(FrameStage):
            pass

        return PassingStage

    def test_it_changes_nothing(self, new_stage: type[FrameStage], frames: Sequence[Frame]) -> None:
        detect = reading_ahead(1)

        assert list(detect_through([new_stage()], iter(frames), detect)) == list(detect(iter(frames)))


async def test_a_new_stage_is_one_class() -> None:
    shipped = World().stages

    def stages(spec: AnalysisSpec) -> Sequence[FrameStage]:
        return [*shipped(spec), LabelledStage()]

    world = World(stages=stages)
    job = await world.planned()
    segment = (await world.segments())[0]

    value_of(await world.run(segment))

    done = (await world.segments())[0]
    assert {one.label for seen in await world.detections(job) for one in seen.detections} == {"seen car"}
    assert [warning.code for warning in done.warnings] == ["frames_counted"]
    assert done.shots is not None


def test_frames_pass_the_stages_in_order_and_detections_in_reverse_order() -> None:
    passed: list[str] = []

    class NotingStage(FrameStage):
        def __init__(self, name: str) -> None:
            self._name = name

        def before_detection(self, frames: Iterator[Frame]) -> Iterator[Frame]:
            for frame in frames:
                passed.append(f"frame {frame.index} into {self._name}")
                yield frame

        def after_detection(self, detected: Iterator[FrameDetections]) -> Iterator[FrameDetections]:
            for seen in detected:
                passed.append(f"answer {seen.frame} into {self._name}")
                yield seen

    frames = [make_frame(0, 0), make_frame(1, 50)]
    list(detect_through([NotingStage("first"), NotingStage("last")], iter(frames), reading_ahead(0)))

    assert passed == [
        f"{what} {index} into {name}"
        for index in (0, 1)
        for what, name in (("frame", "first"), ("frame", "last"), ("answer", "last"), ("answer", "first"))
    ]
