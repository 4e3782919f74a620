"""Ultralytics beside ours, for tests: is it there, what does its own `predict` see, how far do two answers agree."""

import os
import pickle
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import pytest
from openvino.properties import hint

from vidintel.application.ports import Frame, Image
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.infrastructure.inference.openvino import Precision

IS_INSTALLED = find_spec("ultralytics") is not None and find_spec("torch") is not None
_REASON = "Ultralytics and torch are not installed (vidintel[ultralytics])"
SAME_IOU = 0.98
SAME_CONFIDENCE = 0.01
_PRECISIONS = {"f32": ov.Type.f32, "bf16": ov.Type.bf16}

needs_ultralytics = pytest.mark.skipif(
    not IS_INSTALLED and os.environ.get("REQUIRE_REAL_SERVICES") != "1", reason=_REASON
)
exports = pytest.mark.filterwarnings("ignore")  # Ultralytics' export traces, and torch has much to say about that


def prepare(settings_dir: Path) -> None:
    """Keep Ultralytics off the network, and let it predict beside a torchvision without operators."""
    if not IS_INSTALLED:
        pytest.fail(_REASON)
    os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true", YOLO_CONFIG_DIR=str(settings_dir))
    from scripts.torchvision_cpu import make_importable

    make_importable()


def pictures() -> list[Path]:
    """The photographs inside the ultralytics package."""
    import ultralytics

    return sorted((Path(ultralytics.__file__).parent / "assets").glob("*.jpg"))


def read_picture(file: Path) -> Image:
    """Height × width × 3, BGR."""
    return np.asarray(cv2.imread(str(file)), dtype=np.uint8)


def make_detector(file: Path, labels: Sequence[str], *, input_size: int = 160, seed: int = 0) -> Path:
    """Weights of a YOLOv8n that was not trained, yet sees things: what it sees depends on the picture.

    Its normalisation is set by photographs, and its last layers are turned up, so that confidences are spread.
    """
    import torch
    from ultralytics import YOLO
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(seed)
    model = YOLO("yolov8n.yaml", verbose=False)
    model.model = DetectionModel("yolov8n.yaml", nc=len(labels), verbose=False)
    head = model.model.model[-1]
    photographs = np.stack([cv2.resize(read_picture(each), (input_size, input_size)) for each in pictures()])
    seen = torch.from_numpy(photographs).permute(0, 3, 1, 2).flip(1) / 255
    for layer in model.model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        model.model.train()(seen)
        for scores, distances in zip(head.cv3, head.cv2, strict=True):
            scores[-1].bias.fill_(-2.5)
            distances[-1].weight *= 3.0
    model.model.names = dict(enumerate(labels))
    return _save(model, file, input_size)


def save_untrained(configuration: str, file: Path) -> Path:
    """Weights as Ultralytics makes them for the shape that ``configuration`` names."""
    from ultralytics import YOLO

    return _save(YOLO(configuration, verbose=False), file, 160)


def export_torchscript(weights: Path, folder: Path) -> Path:
    """Ultralytics puts an export beside the weights, hence a copy in ``folder``."""
    from ultralytics import YOLO

    copy = shutil.copy(weights, folder)
    return Path(YOLO(copy).export(format="torchscript", imgsz=160, verbose=False))


def _save(model: Any, file: Path, input_size: int) -> Path:
    model.model.eval()
    model.ckpt = {"train_args": {"imgsz": input_size, "task": model.task}}
    model.save(file)
    return file


class _MakesFolder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self._folder),)


def save_hostile(file: Path, proof: Path) -> Path:
    """A ``.pt`` that makes the folder ``proof`` when it is unpickled for real."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{file.stem}/data.pkl", pickle.dumps({"model": _MakesFolder(proof)}))
    return file


@dataclass(frozen=True)
class Predict:
    """Ultralytics' own `predict`, one frame at a time. ``precision`` is for OpenVINO exports: what it compiles to."""

    weights: Path
    input_size: int
    precision: Precision | None = None

    def __call__(
        self, frames: Sequence[Frame], *, min_confidence: float, iou_threshold: float
    ) -> Iterator[FrameDetections]:
        from ultralytics import YOLO

        model = YOLO(self.weights, task="detect")
        predict = partial(
            model.predict, conf=min_confidence, iou=iou_threshold, imgsz=self.input_size, device="cpu", verbose=False
        )
        if self.precision is not None:
            predict(frames[0].image)
            self._compile_anew(model.predictor.model.backend)
        for frame in frames:
            (result,) = predict(frame.image)
            yield FrameDetections(frame.index, frame.time_s, tuple(_detections(result)))

    def _compile_anew(self, backend: Any) -> None:
        assert self.precision is not None
        core = ov.Core()
        (network,) = self.weights.glob("*.xml")
        options = {hint.inference_precision(): _PRECISIONS[self.precision]}
        backend.ov_compiled_model = core.compile_model(core.read_model(network), "CPU", options)


def _detections(result: Any) -> Iterator[Detection]:
    height, width = result.orig_shape
    for x1, y1, x2, y2, confidence, class_ in result.boxes.data.double().tolist():
        box = BoundingBox(x1 / width, y1 / height, x2 / width, y2 / height)
        yield Detection(result.names[int(class_)], confidence, box)


@dataclass(frozen=True)
class Agreement:
    """How far two answers agree. Shares are 0..1; ``lowest_iou`` and ``confidence_gap`` are the worst among pairs.

    A pair are two boxes of one frame and label that are each other's most alike; it matches when their IoU reaches
    `SAME_IOU` and their confidences differ by at most `SAME_CONFIDENCE`.
    """

    ours: int
    theirs: int
    matched: int
    lowest_iou: float
    confidence_gap: float

    @property
    def share(self) -> float:
        """The smaller share of what one side sees that the other sees just so."""
        return self.matched / max(self.ours, self.theirs, 1)

    def __str__(self) -> str:
        return (
            f"{self.matched} of {self.ours} and {self.theirs} match ({self.share:.2%}), "
            f"lowest IoU {self.lowest_iou:.4f}, largest difference of confidence {self.confidence_gap:.4f}"
        )


def agreement(ours: Sequence[FrameDetections], theirs: Sequence[FrameDetections]) -> Agreement:
    """Compare frame by frame; each detection is in one pair at most."""
    pairs: list[tuple[float, float]] = []
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.frame == other.frame
        pairs.extend(_pairs(mine.detections, other.detections))
    matched = sum(iou >= SAME_IOU and gap <= SAME_CONFIDENCE for iou, gap in pairs)
    return Agreement(
        ours=sum(len(each.detections) for each in ours),
        theirs=sum(len(each.detections) for each in theirs),
        matched=matched,
        lowest_iou=min((iou for iou, _ in pairs), default=1.0),
        confidence_gap=max((gap for _, gap in pairs), default=0.0),
    )


def _pairs(ours: Sequence[Detection], theirs: Sequence[Detection]) -> Iterator[tuple[float, float]]:
    """(IoU, difference of confidence) of those that are most alike, each taken once; below IoU 0.5 there is no pair."""
    alike = [
        (mine.box.iou(other.box), -abs(mine.confidence - other.confidence), i, j)
        for i, mine in enumerate(ours)
        for j, other in enumerate(theirs)
        if mine.label == other.label
    ]
    taken_ours, taken_theirs = set[int](), set[int]()
    for iou, closeness, i, j in sorted(alike, reverse=True):
        if iou >= 0.5 and i not in taken_ours and j not in taken_theirs:
            taken_ours.add(i)
            taken_theirs.add(j)
            yield iou, -closeness
