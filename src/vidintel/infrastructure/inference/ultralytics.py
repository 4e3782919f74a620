"""`UltralyticsDetector`: any detection weights that Ultralytics runs (``.pt``, ``.engine``, ``.torchscript``), on a GPU
where there is one.

Loading a ``.pt`` unpickles it, which can run arbitrary code from the file. So weights are only loaded from where the
operator put them. A client can send only the name of a registered model.

Ultralytics is AGPL-3.0 and large, hence an extra; it is imported when the first such model is loaded.
"""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidintel.application.ports import SILENT, Frame, Image, ModelInfo, Telemetry
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.errors import ModelUnusable
from vidintel.infrastructure.inference.weights import HOW_TO_INSTALL, unusable
from vidintel.infrastructure.inference.yolov8 import class_numbers

_GPU_BATCH = 16


class UltralyticsDetector:
    """Implements `Detector`. A thread of its own makes the model and runs it: Ultralytics' models are not thread-safe.

    Any number of threads may call `detect`; they take turns. Pictures are prepared, inferred and suppressed by
    Ultralytics' own `predict`, one at a time on a CPU and ``batch_size`` together on a GPU. A batch is filled up with
    copies, so that the arithmetic, and with it the answer, does not depend on how many frames happen to be left.

    ``settings_dir`` is where Ultralytics keeps its settings, unless the environment says ``YOLO_CONFIG_DIR``. Raises
    `ModelUnusable` when Ultralytics is not installed, or ``weights`` are damaged, of another task or not those of
    ``info``.
    """

    def __init__(
        self,
        info: ModelInfo,
        weights: Path,
        *,
        settings_dir: Path | None = None,
        batch_size: int | None = None,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._info = info
        self._telemetry = telemetry
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"ultralytics-{info.name}")
        try:
            self._model = self._thread.submit(_Model, info, weights, settings_dir, batch_size).result()
        except BaseException:
            self._thread.shutdown()
            raise

    @property
    def info(self) -> ModelInfo:
        return self._info

    def detect(
        self,
        frames: Iterable[Frame],
        *,
        min_confidence: float,
        iou_threshold: float,
        labels: tuple[str, ...] | None = None,
    ) -> Iterator[FrameDetections]:
        """See `Detector.detect`. Raises `UnknownLabel`; an error of ``frames`` passes through."""
        classes = class_numbers(self._info, labels)
        see = partial(self._see, min_confidence=min_confidence, iou_threshold=iou_threshold, classes=classes)
        in_work: deque[tuple[Sequence[Frame], Future[list[tuple[Detection, ...]]]]] = deque()
        for batch in _batches(frames, self._model.batch_size):
            in_work.append((batch, self._thread.submit(see, [frame.image for frame in batch])))
            if len(in_work) > 1:
                yield from _finished(*in_work.popleft())
        while in_work:
            yield from _finished(*in_work.popleft())

    def _see(self, images: Sequence[Image], **options: Any) -> list[tuple[Detection, ...]]:
        started = time.perf_counter()
        answers = self._model.see(images, **options)
        for _ in images:
            self._telemetry.frame_inferred((time.perf_counter() - started) / len(images))
        return answers


def _batches(frames: Iterable[Frame], size: int) -> Iterator[Sequence[Frame]]:
    """Pictures of one shape, in order: only those share an input that is padded as little as possible."""
    for _, group in groupby(frames, key=lambda frame: frame.image.shape):
        while batch := tuple(islice(group, size)):
            yield batch


def _finished(batch: Sequence[Frame], answers: Future[list[tuple[Detection, ...]]]) -> Iterator[FrameDetections]:
    for frame, detections in zip(batch, answers.result(), strict=True):
        yield FrameDetections(frame.index, frame.time_s, detections)


class _Model:
    """Lives in one thread."""

    def __init__(self, info: ModelInfo, weights: Path, settings_dir: Path | None, batch_size: int | None) -> None:
        yolo = import_yolo(settings_dir)
        self._input_size = list(info.input_size)
        self._labels = info.labels
        try:
            self._yolo = yolo(weights, task="detect")
            # A black picture: an exported model is only opened by its first use.
            self._predict([np.zeros((*info.input_size, 3), np.uint8)])
            names, task = self._yolo.predictor.model.names, self._yolo.task
        except Exception as error:  # a damaged pickle or engine may raise anything at all
            raise unusable(weights, f"cannot be loaded by Ultralytics ({first_line(error)})") from error
        if task != "detect":
            raise unusable(weights, f"is of the task '{task}', not of 'detect'")
        if tuple(names[number] for number in sorted(names)) != info.labels:
            raise unusable(weights, "knows other classes than its description; describe or add the model again")
        is_on_gpu = self._yolo.predictor.device.type == "cuda"
        self.batch_size = batch_size or (_GPU_BATCH if is_on_gpu else 1)

    def see(
        self, images: Sequence[Image], *, min_confidence: float, iou_threshold: float, classes: NDArray[np.int64] | None
    ) -> list[tuple[Detection, ...]]:
        """One answer per picture, best first. The pictures are of one shape, and fit into a batch."""
        filled = [*images, *[images[-1]] * (self.batch_size - len(images))]
        results = self._predict(
            filled, conf=min_confidence, iou=iou_threshold, classes=None if classes is None else classes.tolist()
        )
        return [self._detections(result) for result, _ in zip(results, images, strict=False)]

    def _predict(self, images: Sequence[Image], **options: object) -> Any:
        return self._yolo.predict(images, imgsz=self._input_size, verbose=False, save=False, **options)

    def _detections(self, result: Any) -> tuple[Detection, ...]:
        height, width = result.orig_shape
        rows = result.boxes.data.cpu().numpy().astype(np.float64)
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        boxes = np.clip(rows[:, :4] / (width, height, width, height), 0.0, 1.0)
        return tuple(
            Detection(self._labels[int(class_)], min(1.0, float(confidence)), BoundingBox(*map(float, box)))
            for box, (confidence, class_) in zip(boxes, rows[:, 4:6], strict=True)
        )


def import_yolo(settings_dir: Path | None) -> Any:
    """Ultralytics' ``YOLO``, kept from installing, downloading and reporting anything. Raises `ModelUnusable`."""
    # Ultralytics reads them as it is imported.
    os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true", YOLO_VERBOSE="false")
    if settings_dir is not None:
        settings_dir.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("YOLO_CONFIG_DIR", str(settings_dir))
    try:
        import torchvision  # noqa: F401 - an incompatible pair fails here, and not during a job
        from ultralytics import YOLO
    except ImportError as error:
        raise ModelUnusable(
            f"This model needs Ultralytics, which is not installed ({error}): {HOW_TO_INSTALL}"
        ) from error
    except RuntimeError as error:
        raise ModelUnusable(
            f"The installed torchvision does not fit the installed torch ({first_line(error)}). Install both from the "
            "same place, see https://pytorch.org/get-started/locally/"
        ) from error
    return YOLO


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
