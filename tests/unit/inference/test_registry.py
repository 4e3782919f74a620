import hashlib
import json
import os
import shutil
import time
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


def settled(folder: Path) -> Path:
    """Waits until the folder's models are old enough for what was read of them to be kept."""
    newest_ns = max(file.stat().st_ctime_ns for file in folder.rglob("*"))
    while time.time_ns() - newest_ns < 1_100_000_000:
        time.sleep(0.02)
    return folder


def test_models_that_come_change_and_go_are_noticed_at_once(tmp_path: Path) -> None:
    write_model(tmp_path / "small")
    write_export(tmp_path / "yolo")
    registry = DirectoryModelRegistry(settled(tmp_path), "small")
    assert [info.name for info in registry.list()] == ["small", "yolo"]

    write_model(tmp_path / "added")
    assert [info.name for info in registry.list()] == ["added", "small", "yolo"]

    for label in ("bus", "van"):
        described = json.loads((tmp_path / "small" / "model.json").read_text())
        (tmp_path / "small" / "model.json").write_text(json.dumps(described | {"labels": [label]}))
        assert registry.get("small").labels == (label,)

    shutil.rmtree(tmp_path / "yolo")
    assert [info.name for info in registry.list()] == ["added", "small"]

    (tmp_path / "small" / "model.bin").unlink()
    with pytest.raises(ModelUnusable, match=r"model\.bin"):
        registry.get("small")


def test_weights_exchanged_for_others_of_their_size_and_time_are_noticed(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "yolo")
    registry = DirectoryModelRegistry(settled(tmp_path), "yolo")
    before, file = registry.get("yolo").sha256, folder / "best.bin"
    status = file.stat()

    file.write_bytes(WEIGHTS[::-1])
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert registry.get("yolo").sha256 != before


def test_a_model_that_stays_as_it_is_is_read_once(tmp_path: Path) -> None:
    write_model(tmp_path / "small")
    registry = DirectoryModelRegistry(settled(tmp_path), "small")

    assert registry.get("small") is registry.get("small")
