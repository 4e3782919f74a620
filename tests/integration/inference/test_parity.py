"""`OpenVinoDetector` sees what Ultralytics' own `predict` sees: same weights, same size, same thresholds.

Compared in F32 arithmetic on both sides. In BF16, which OpenVINO chooses on processors that have it, two networks that
were only compiled differently already disagree by more than what is allowed here.

No trained weights in PyTorch's format ship with us. So the network that does ship is compared with `predict` on the
same OpenVINO files, and `predict` on a ``.pt`` with what `vidintel models add` makes of it, for weights made here.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.inference.test_openvino_detector import (
    COCO_MODEL,
    OUR_CLIP,
    OUR_MODEL,
    TEST_DATA,
    frames_of,
    needs_coco_model,
)
from tests.support import ultralytics_support
from tests.support.ultralytics_support import Predict, agreement, pictures, read_picture
from vidintel.application.ports import Frame
from vidintel.infrastructure.inference.compiling import compile_weights
from vidintel.infrastructure.inference.detectors import LoadedDetectors
from vidintel.infrastructure.inference.registry import DirectoryModelRegistry

pytestmark = ultralytics_support.needs_ultralytics
MIN_CONFIDENCES = (0.25, 0.05)
IOU_THRESHOLD = 0.7
EVERY = 10


@pytest.fixture(scope="module", autouse=True)
def ultralytics(tmp_path_factory: pytest.TempPathFactory) -> None:
    ultralytics_support.prepare(tmp_path_factory.mktemp("settings"))


@pytest.fixture(scope="module")
def photographs(ultralytics: None) -> Sequence[Frame]:
    """And smaller ones, whose sides do not scale to whole pixels."""
    whole = [read_picture(file) for file in pictures()]
    cut = [picture[: picture.shape[0] * 2 // 3, : picture.shape[1] * 7 // 9].copy() for picture in whole]
    return [Frame(index, 0.0, picture) for index, picture in enumerate((*whole, *cut))]


def some_of(clip: Path) -> Sequence[Frame]:
    return frames_of(clip, None)[::EVERY]


def assert_same(model: Path, reference: Predict, frames: Sequence[Frame], *, at_least: int) -> None:
    """``at_least`` is how many detections make the comparison worth something."""
    registry = DirectoryModelRegistry.serving(str(model))
    detector = LoadedDetectors(registry, precision="f32").get(registry.default_name)
    for limit in MIN_CONFIDENCES:
        ours = list(detector.detect(frames, min_confidence=limit, iou_threshold=IOU_THRESHOLD))
        theirs = list(reference(frames, min_confidence=limit, iou_threshold=IOU_THRESHOLD))
        found = agreement(ours, theirs)
        assert found.theirs >= at_least, found
        assert found.share >= 0.99, found


@needs_coco_model
@pytest.mark.slow
@pytest.mark.parametrize(("clip", "at_least"), [("car-detection.mp4", 15), ("bottle-detection.mp4", 300)])
def test_coco_on_real_clips(clip: str, at_least: int) -> None:
    frames = some_of(TEST_DATA / clip)
    assert_same(COCO_MODEL, Predict(COCO_MODEL, 640, precision="f32"), frames, at_least=at_least)


@needs_coco_model
def test_coco_on_photographs(photographs: Sequence[Frame]) -> None:
    assert_same(COCO_MODEL, Predict(COCO_MODEL, 640, precision="f32"), photographs, at_least=10)


def test_our_own_network_on_its_clip(tmp_path: Path) -> None:
    registry = DirectoryModelRegistry.serving(OUR_MODEL)
    ours = registry.stored(OUR_MODEL).network.parent
    # Ultralytics knows an OpenVINO network by the name of its folder.
    theirs = Path(shutil.copytree(ours, tmp_path / "traffic_openvino_model"))

    reference = Predict(theirs, max(registry.get(OUR_MODEL).input_size), precision="f32")
    assert_same(ours, reference, some_of(OUR_CLIP), at_least=300)


@ultralytics_support.exports
def test_weights_compiled_by_us_see_what_the_weights_see(tmp_path: Path, photographs: Sequence[Frame]) -> None:
    weights = ultralytics_support.make_detector(tmp_path / "own.pt", ("car", "truck", "person"))
    # In FP32: weights that were never trained have no tolerance for rounding, as trained ones do.
    compile_weights(weights, tmp_path, name="compiled", half=False)

    assert_same(tmp_path / "compiled", Predict(weights, 160), photographs, at_least=100)
