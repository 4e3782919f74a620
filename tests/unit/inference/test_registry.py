import hashlib
import json
from pathlib import Path

import pytest
import yaml

from vidintel.domain.errors import ModelUnusable, UnknownModel
from vidintel.infrastructure.inference.registry import DirectoryModelRegistry

WEIGHTS = b"weights"


def write_model(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.xml").write_text("<net/>")
    (folder / "model.bin").write_bytes(WEIGHTS)
    descriptor: dict[str, object] = {
        "name": folder.name,
        "version": "1.0.0",
        "runtime": "openvino",
        "task": "detect",
        "weights": "model.xml",
        "input_size": [320, 640],
        "labels": ["car", "truck"],
        "licence": "Apache-2.0",
        "description": "For tests",
        "sha256": hashlib.sha256(WEIGHTS).hexdigest(),
    }
    (folder / "model.json").write_text(json.dumps(descriptor | changes))
    return folder


def write_export(folder: Path, **changes: object) -> Path:
    """A folder as Ultralytics exports it."""
    folder.mkdir(parents=True)
    (folder / "best.xml").write_text("<net/>")
    (folder / "best.bin").write_bytes(WEIGHTS)
    metadata: dict[str, object] = {
        "description": "Ultralytics YOLOv8n model",
        "version": "8.4.30",
        "license": "AGPL-3.0",
        "task": "detect",
        "imgsz": [640, 640],
        "names": {0: "bottle", 1: "cup"},
    }
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata | changes))
    return folder


def test_a_described_model_is_listed(tmp_path: Path) -> None:
    write_model(tmp_path / "small")

    (info,) = DirectoryModelRegistry(tmp_path, "small").list()

    assert (info.name, info.version, info.licence, info.runtime) == ("small", "1.0.0", "Apache-2.0", "openvino")
    assert (info.input_size, info.labels) == ((320, 640), ("car", "truck"))
    assert info.sha256 == hashlib.sha256(WEIGHTS).hexdigest()


def test_an_ultralytics_export_is_named_after_its_folder(tmp_path: Path) -> None:
    write_export(tmp_path / "yolov8n_openvino_model")

    info = DirectoryModelRegistry(tmp_path, "yolov8n").get("yolov8n")

    assert (info.labels, info.licence, info.version) == (("bottle", "cup"), "AGPL-3.0", "8.4.30")


def test_a_folder_named_at_the_start_is_served_under_its_name(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "elsewhere" / "mine_openvino_model")
    write_model(tmp_path / "models" / "small")

    registry = DirectoryModelRegistry.serving(str(folder), tmp_path / "models")

    assert registry.default_name == "mine"
    assert [info.name for info in registry.list()] == ["mine", "small"]
    assert registry.stored("mine").network == folder.resolve() / "best.xml"


def test_a_name_at_the_start_is_a_name(tmp_path: Path) -> None:
    write_model(tmp_path / "small")
    assert DirectoryModelRegistry.serving("small", tmp_path).default_name == "small"
    assert DirectoryModelRegistry.serving("absent", tmp_path).default_name == "absent"


def test_a_path_without_a_model_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="nowhere"):
        DirectoryModelRegistry.serving(str(tmp_path / "nowhere"), tmp_path)


@pytest.mark.parametrize("name", ["other", "../small", "small/", "./small", "/etc", "", "small/../small"])
def test_what_a_client_names_is_never_a_path(tmp_path: Path, name: str) -> None:
    write_model(tmp_path / "models" / "small")
    write_model(tmp_path / "other")
    with pytest.raises(UnknownModel, match="small"):
        DirectoryModelRegistry(tmp_path / "models", "small").get(name)


def test_a_missing_directory_holds_no_models(tmp_path: Path) -> None:
    assert DirectoryModelRegistry(tmp_path / "absent", "small").list() == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"task": "segment"}, "task"),
        ({"labels": []}, "labels"),
        ({"weights": "../../secret.xml"}, "weights"),
        ({"weights": "absent.xml"}, "absent.xml is missing"),
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"input_size": [0, 10]}, "input_size"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    write_model(tmp_path / "small", **changes)
    write_model(tmp_path / "good")
    registry = DirectoryModelRegistry(tmp_path, "small")

    with pytest.raises(ModelUnusable, match=told) as caught:
        registry.get("small")

    assert "vidintel models" in caught.value.detail
    assert str(tmp_path) not in caught.value.detail, "where things lie on the server is nobody's business"
    assert [info.name for info in registry.list()] == ["good"]


@pytest.mark.parametrize("file", ["model.xml", "model.bin"])
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    (write_model(tmp_path / "small") / file).unlink()
    with pytest.raises(ModelUnusable, match=file):
        DirectoryModelRegistry(tmp_path, "small").get("small")


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_damaged_description_is_named(tmp_path: Path, content: str) -> None:
    (write_model(tmp_path / "small") / "model.json").write_text(content)
    with pytest.raises(ModelUnusable, match=r"model\.json"):
        DirectoryModelRegistry(tmp_path, "small").get("small")


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"task": "segment"}, "task"), ({"names": {1: "a", 2: "b"}}, "names"), ({"imgsz": "big"}, "imgsz")],
)
def test_a_wrong_export_says_what_is_wrong(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    write_export(tmp_path / "yolo", **changes)
    with pytest.raises(ModelUnusable, match=told):
        DirectoryModelRegistry(tmp_path, "yolo").get("yolo")


def test_replaced_weights_are_noticed(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "yolo")
    registry = DirectoryModelRegistry(tmp_path, "yolo")
    before = registry.get("yolo").sha256

    (folder / "best.bin").write_bytes(b"other weights")

    assert registry.get("yolo").sha256 != before
