"""`OpenVinoDetector` with real networks: the one that ships with us, and a real COCO one where it is at hand."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.contracts.decoder_contract import LIMITS
from tests.contracts.detector_contract import DetectorContract, seen_by
from vidintel.application.ports import Detector, Frame
from vidintel.domain.errors import ModelUnusable
from vidintel.infrastructure.inference.detectors import LoadedDetectors
from vidintel.infrastructure.inference.openvino import OpenVinoDetector
from vidintel.infrastructure.inference.registry import DirectoryModelRegistry
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder

REPOSITORY = Path(__file__).resolve().parents[3]
OUR_MODEL = "traffic-yolov8n"
OUR_CLIP = REPOSITORY / "samples" / "traffic.mp4"
TEST_DATA = Path(os.environ.get("VIDINTEL_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
COCO_MODEL = TEST_DATA / "yolov8n_coco_int8_openvino_model"

needs_coco_model = pytest.mark.skipif(
    not COCO_MODEL.is_dir(), reason=f"no {COCO_MODEL.name} in VIDINTEL_TEST_DATA or ../shared/data"
)


def frames_of(clip: Path, sample_fps: float | None, count: int | None = None) -> list[Frame]:
    decoder = PyAvVideoDecoder()
    with clip.open("rb") as content:
        plan = decoder.plan(content, segment_s=10.0, sample_fps=sample_fps, limits=LIMITS)
        frames = (frame for span in plan.segments for frame in decoder.frames(content, span, sample_fps=sample_fps))
        return list(frames if count is None else (frame for frame, _ in zip(frames, range(count), strict=False)))


@pytest.fixture(scope="module")
def our_detectors(tmp_path_factory: pytest.TempPathFactory) -> LoadedDetectors:
    return LoadedDetectors(DirectoryModelRegistry.serving(OUR_MODEL), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def coco_detectors(tmp_path_factory: pytest.TempPathFactory) -> LoadedDetectors:
    return LoadedDetectors(DirectoryModelRegistry.serving(str(COCO_MODEL)), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def our_frames() -> Sequence[Frame]:
    return frames_of(OUR_CLIP, 1.0, count=8)


@pytest.fixture(scope="module")
def coco_frames() -> Sequence[Frame]:
    return frames_of(TEST_DATA / "bottle-detection.mp4", 1.0, count=8)


class TestOurModel(DetectorContract):
    @pytest.fixture
    def detector(self, our_detectors: LoadedDetectors) -> Detector:
        return our_detectors.get(OUR_MODEL)

    @pytest.fixture
    def frames(self, our_frames: Sequence[Frame]) -> Sequence[Frame]:
        return our_frames

    def test_pictures_of_different_shapes_may_follow_each_other(
        self, detector: Detector, frames: Sequence[Frame]
    ) -> None:
        upright = [Frame(frame.index, frame.time_s, np.rot90(frame.image).copy()) for frame in frames[:2]]
        mixed = [frames[0], upright[0], frames[1], upright[1]]

        assert seen_by(detector, mixed) == [seen_by(detector, [frame])[0] for frame in mixed]


@needs_coco_model
class TestCocoModel(DetectorContract):
    @pytest.fixture
    def detector(self, coco_detectors: LoadedDetectors) -> Detector:
        return coco_detectors.get("yolov8n_coco_int8")

    @pytest.fixture
    def frames(self, coco_frames: Sequence[Frame]) -> Sequence[Frame]:
        return coco_frames

    @pytest.mark.slow
    def test_it_sees_what_ultralytics_sees(self, detector: Detector) -> None:
        """Ultralytics' own predict sees 53 cars, 72 cell phones and 10 buses; arithmetic differs by processor."""
        frames = frames_of(TEST_DATA / "car-detection.mp4", None)

        found = seen_by(detector, frames, min_confidence=0.25, iou_threshold=0.7)

        counts = Counter(each.label for frame in found for each in frame.detections)
        assert len(found) == 377
        assert counts["car"] == pytest.approx(53, abs=6)
        assert counts["cell phone"] == pytest.approx(72, abs=6)
        assert counts["bus"] == pytest.approx(10, abs=3)


def test_a_model_is_loaded_once(our_detectors: LoadedDetectors) -> None:
    assert our_detectors.get(OUR_MODEL) is our_detectors.get(OUR_MODEL)


def write_broken(folder: Path, network: str) -> Detector:
    folder.mkdir()
    (folder / "model.xml").write_text(network)
    (folder / "model.bin").write_bytes(b"")
    (folder / "model.json").write_text(
        '{"name": "broken", "version": "1", "task": "detect", "weights": "model.xml", "input_size": [32, 32],'
        ' "labels": ["car"], "licence": "none"}'
    )
    return LoadedDetectors(DirectoryModelRegistry(folder.parent, "broken")).get("broken")


@pytest.mark.parametrize("network", ["", "<net/>", "no network at all"])
def test_a_damaged_network_is_named(tmp_path: Path, network: str) -> None:
    with pytest.raises(ModelUnusable, match=r"model\.xml"):
        write_broken(tmp_path / "broken", network)


def test_a_network_of_other_classes_is_refused() -> None:
    model = DirectoryModelRegistry.serving(OUR_MODEL).stored(OUR_MODEL)
    info = replace(model.info, labels=("car",))
    with pytest.raises(ModelUnusable, match="classes"):
        OpenVinoDetector(info, model.network)
