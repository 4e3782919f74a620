"""`UltralyticsDetector` and weights in the registry, with weights made here: nothing is downloaded."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile

import pytest

from tests.contracts.detector_contract import DetectorContract, seen_by
from tests.support import ultralytics_support
from vidintel.application.ports import Detector, Frame
from vidintel.domain.errors import ModelUnusable
from vidintel.infrastructure.inference.detectors import LoadedDetectors
from vidintel.infrastructure.inference.registry import DirectoryModelRegistry
from vidintel.infrastructure.inference.ultralytics import UltralyticsDetector

pytestmark = ultralytics_support.needs_ultralytics
LABELS = ("car", "truck", "person")


@pytest.fixture(scope="module", autouse=True)
def ultralytics(tmp_path_factory: pytest.TempPathFactory) -> None:
    ultralytics_support.prepare(tmp_path_factory.mktemp("settings"))


@pytest.fixture(scope="module")
def weights(ultralytics: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ultralytics_support.make_detector(tmp_path_factory.mktemp("weights") / "own.pt", LABELS)


@pytest.fixture(scope="module")
def photographs() -> Sequence[Frame]:
    pictures = [ultralytics_support.read_picture(file) for file in ultralytics_support.pictures()]
    halves = [half for picture in pictures for half in (picture, picture[:, ::-1].copy(), picture[::2, ::2].copy())]
    return [Frame(index, index / 5, picture) for index, picture in enumerate(halves)]


@pytest.fixture(scope="module")
def detectors(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> LoadedDetectors:
    return LoadedDetectors(DirectoryModelRegistry.serving(str(weights)), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def in_batches(weights: Path) -> UltralyticsDetector:
    model = DirectoryModelRegistry.serving(str(weights)).stored("own")
    return UltralyticsDetector(model.info, model.network, batch_size=3)


class OfPhotographs(DetectorContract):
    @pytest.fixture
    def frames(self, photographs: Sequence[Frame]) -> Sequence[Frame]:
        return photographs


class TestOnTheCpu(OfPhotographs):
    @pytest.fixture
    def detector(self, detectors: LoadedDetectors) -> Detector:
        return detectors.get("own")


class TestInBatches(OfPhotographs):
    """As on a GPU, where frames are inferred together."""

    @pytest.fixture
    def detector(self, in_batches: UltralyticsDetector) -> Detector:
        return in_batches


def test_the_registry_knows_weights_without_loading_torch(weights: Path) -> None:
    script = (
        "import sys; from vidintel.infrastructure.inference.registry import DirectoryModelRegistry;"
        "registry = DirectoryModelRegistry.serving(sys.argv[1]); info = registry.get(registry.default_name);"
        "print(info.name, info.runtime, *info.labels, *info.input_size, 'torch' in sys.modules, 'cv2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(weights)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["own", "ultralytics", *LABELS, "160", "160", "False", "False"]


def test_a_bare_file_among_the_models_is_listed(weights: Path, tmp_path: Path) -> None:
    copyfile(weights, tmp_path / "mine.pt")
    assert [info.name for info in DirectoryModelRegistry(tmp_path, "mine").list()] == ["mine"]
    assert DirectoryModelRegistry.serving("mine.pt", tmp_path).default_name == "mine"


def describe(folder: Path, file: Path, **fields: object) -> DirectoryModelRegistry:
    folder.mkdir()
    copyfile(file, folder / "weights.pt")
    descriptor = {
        "name": "told", "version": "1", "runtime": "ultralytics", "task": "detect", "weights": "weights.pt",
        "input_size": [160, 160], "labels": LABELS, "licence": "AGPL-3.0",
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(descriptor | fields))
    return DirectoryModelRegistry(folder.parent, "told")


def test_weights_may_be_told_by_a_descriptor(weights: Path, tmp_path: Path, photographs: Sequence[Frame]) -> None:
    detector = LoadedDetectors(describe(tmp_path / "told", weights)).get("told")
    assert detector.info.runtime == "ultralytics"
    assert seen_by(detector, photographs[:1])


@ultralytics_support.exports
def test_an_exported_model_runs_as_well(weights: Path, tmp_path: Path, photographs: Sequence[Frame]) -> None:
    registry = DirectoryModelRegistry.serving(str(ultralytics_support.export_torchscript(weights, tmp_path)))
    detector = LoadedDetectors(registry).get("own")
    assert detector.info.labels == LABELS
    assert any(found.detections for found in seen_by(detector, photographs[:2]))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"labels": ["car", "bus", "person"]}, "other classes"),
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"weights": "model.xml"}, "runtime 'ultralytics' end in"),
        ({"weights": "other.pt"}, r"other\.pt is missing"),
    ],
)
def test_a_descriptor_that_does_not_fit_is_refused(
    weights: Path, tmp_path: Path, fields: dict[str, object], problem: str
) -> None:
    registry = describe(tmp_path / "told", weights, **fields)
    with pytest.raises(ModelUnusable, match=problem):
        LoadedDetectors(registry).get("told")


@pytest.mark.parametrize("suffix", [".pt", ".engine", ".torchscript"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5])
def test_damaged_weights_are_refused_when_asked_for(weights: Path, tmp_path: Path, suffix: str, share: float) -> None:
    content = weights.read_bytes()
    file = tmp_path / f"broken{suffix}"
    file.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(ModelUnusable, match=rf"broken\{suffix}"):
        DirectoryModelRegistry(tmp_path, "broken").get("broken")


def test_weights_damaged_inside_are_refused_when_loaded(weights: Path, tmp_path: Path) -> None:
    """The archive's index is whole, so that only loading can tell."""
    content = bytearray(weights.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100_000] = bytes(100_000)
    (tmp_path / "broken.pt").write_bytes(content)

    with pytest.raises(ModelUnusable, match=r"broken\.pt"):
        LoadedDetectors(DirectoryModelRegistry(tmp_path, "broken")).get("broken")


@pytest.mark.parametrize("configuration", ["yolov8n-seg.yaml", "yolov8n-cls.yaml", "yolov8n-pose.yaml"])
def test_weights_of_another_task_are_refused(tmp_path: Path, configuration: str) -> None:
    file = ultralytics_support.save_untrained(configuration, tmp_path / "other.pt")
    with pytest.raises(ModelUnusable, match="another task"):
        DirectoryModelRegistry.serving(str(file))


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"yolov8n\.pt is missing"):
        DirectoryModelRegistry.serving(str(tmp_path / "yolov8n.pt"))


def test_code_in_a_file_does_not_run_when_it_is_listed(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    ultralytics_support.save_hostile(tmp_path / "hostile.pt", proof)

    with pytest.raises(ModelUnusable):
        DirectoryModelRegistry(tmp_path, "hostile").get("hostile")

    assert not proof.exists()


def test_without_ultralytics_the_extra_is_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = DirectoryModelRegistry.serving(str(weights)).stored("own")
    monkeypatch.setitem(sys.modules, "ultralytics", None)

    with pytest.raises(ModelUnusable, match=r"vidintel\[ultralytics\]"):
        DirectoryModelRegistry.serving(str(weights)).get("own")
    with pytest.raises(ModelUnusable, match=r"vidintel\[ultralytics\]"):
        UltralyticsDetector(stored.info, stored.network)
