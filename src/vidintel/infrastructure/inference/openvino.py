"""`OpenVinoDetector`: YOLOv8 on the CPU. The input is scaled by OpenCV; colours and layout are part of the network.

Each picture is inferred on its own, by a network compiled for its shape. So the detections of a frame depend neither on
its neighbours nor on concurrent calls.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
import openvino as ov
from cachetools import LRUCache
from numpy.typing import NDArray
from openvino import properties
from openvino.preprocess import ColorFormat, PrePostProcessor
from openvino.properties import hint

from vidintel.application.ports import SILENT, Frame, ModelInfo, Telemetry
from vidintel.domain.detection import FrameDetections
from vidintel.domain.errors import ModelUnusable
from vidintel.infrastructure.inference.yolov8 import Letterbox, Suppression, class_numbers, detections_of

Precision = Literal["f32", "bf16"]
_PRECISIONS = {"f32": ov.Type.f32, "bf16": ov.Type.bf16}
_SHAPES_KEPT = 4
_first_use = Lock()

DEFAULT_PRECISION: Precision = "bf16"
"""What OpenVINO, and so Ultralytics, chooses on processors that have it. 1.3 to 1.8 times as fast as ``f32``."""


class OpenVinoDetector:
    """Implements `Detector`. Thread-safe: a compiled network is shared, its requests belong to one call each.

    ``network`` is the ``.xml`` file; ``cache_dir`` keeps compiled networks for the next start. ``precision`` is that of
    the arithmetic where weights are not quantised, if the processor has it, else ``f32``. Raises `ModelUnusable` when
    the network is damaged or does not fit ``info``.
    """

    def __init__(
        self,
        info: ModelInfo,
        network: Path,
        *,
        cache_dir: Path | None = None,
        precision: Precision = DEFAULT_PRECISION,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._info = info
        self._telemetry = telemetry
        self._network = network
        self._core = ov.Core()
        self._options: dict[str, object] = {
            hint.performance_mode(): hint.PerformanceMode.THROUGHPUT,
            hint.inference_precision(): _PRECISIONS[precision],
        }
        if cache_dir is not None:
            self._options[properties.cache_dir()] = str(cache_dir)
        self._compiled: LRUCache[tuple[int, int], ov.CompiledModel] = LRUCache(_SHAPES_KEPT)
        self._lock = Lock()
        self._is_dynamic = self._check(self._read())

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
        suppression = Suppression(min_confidence, iou_threshold, class_numbers(self._info, labels))
        for shape, group in groupby(frames, key=lambda frame: frame.image.shape[:2]):
            letterbox = Letterbox.fit((shape[0], shape[1]), self._info.input_size, tight=self._is_dynamic)
            with _Pipeline(self._compile(letterbox.canvas), letterbox) as pipeline:
                for frame, output, duration_s in pipeline.run(group):
                    self._telemetry.frame_inferred(duration_s)
                    detections = detections_of(output, letterbox, suppression, self._info.labels)
                    yield FrameDetections(frame.index, frame.time_s, detections)

    def _read(self) -> ov.Model:
        try:
            return self._core.read_model(self._network)
        except RuntimeError as error:
            raise self._unusable("cannot be read; it is damaged, or its .bin is") from error

    def _check(self, model: ov.Model) -> bool:
        """Whether the input size is dynamic. Raises `ModelUnusable` unless the network is a YOLOv8 detector."""
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise self._unusable("is not a YOLOv8 detector: it should have one input and one output")
        taken, given = model.input().partial_shape, model.output().partial_shape
        rows = ov.Dimension(4 + len(self._info.labels))
        if len(taken) != 4 or not taken[1].compatible(ov.Dimension(3)):
            raise self._unusable(f"does not take colour pictures (its input is {taken})")
        if len(given) != 3 or not given[1].compatible(rows):
            raise self._unusable(f"does not know {len(self._info.labels)} classes (its output is {given})")
        is_dynamic = bool(taken[2].is_dynamic and taken[3].is_dynamic)
        if not is_dynamic and (taken[2], taken[3]) != tuple(map(ov.Dimension, self._info.input_size)):
            raise self._unusable(f"takes pictures of another size than {self._info.input_size} (its input is {taken})")
        return is_dynamic

    def _compile(self, canvas: tuple[int, int]) -> ov.CompiledModel:
        """The network for pictures of ``canvas`` (height, width), compiled once and kept while it is in use."""
        with self._lock:
            compiled = self._compiled.get(canvas)
            if compiled is None:
                compiled = self._core.compile_model(_taking_images(self._read(), canvas), "CPU", self._options)
                # OpenVINO's binding initialises C++ statics in its first call with an array. Two threads that make
                # that call at once deadlock: one holds the GIL, the other the guard of the statics.
                with _first_use:
                    compiled.create_infer_request().infer({0: np.zeros((1, *canvas, 3), dtype=np.uint8)})
                self._compiled[canvas] = compiled
            return compiled

    def _unusable(self, problem: str) -> ModelUnusable:
        return ModelUnusable(
            f"The model '{self._info.name}' cannot be used: {self._network.name} {problem}. "
            "'vidintel models' lists what can be run."
        )


def _taking_images(model: ov.Model, canvas: tuple[int, int]) -> ov.Model:
    """``model`` with its input changed to 1 × height × width × 3, BGR, 0..255."""
    model.reshape([1, 3, *canvas])
    steps = PrePostProcessor(model)
    picture = steps.input()
    picture.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(ColorFormat.BGR)
    picture.model().set_layout(ov.Layout("NCHW"))
    picture.preprocess().convert_element_type(ov.Type.f32).convert_color(ColorFormat.RGB).scale(255.0)
    return steps.build()


class _Pipeline:
    """A ring of inference requests: a bounded number of frames is in work while results leave in order."""

    def __init__(self, compiled: ov.CompiledModel, letterbox: Letterbox) -> None:
        count = 2 * int(compiled.get_property(properties.optimal_number_of_infer_requests()))
        self._letterbox = letterbox
        self._idle = deque(compiled.create_infer_request() for _ in range(count))
        for request in self._idle:
            letterbox.blank(request.get_input_tensor().data[0])
        self._busy: deque[tuple[Frame, ov.InferRequest]] = deque()

    def __enter__(self) -> "_Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the running requests: a request must not be destroyed while it runs."""
        for _frame, request in self._busy:
            request.wait()

    def run(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, NDArray[np.float32], float]]:
        """Each frame with the network's output, which is good until the next one is asked for, and how long it took."""
        for frame in frames:
            if not self._idle:
                yield from self._finish_oldest()
            request = self._idle.popleft()
            self._letterbox.draw(frame.image, request.get_input_tensor().data[0])
            request.start_async()
            self._busy.append((frame, request))
        while self._busy:
            yield from self._finish_oldest()

    def _finish_oldest(self) -> Iterator[tuple[Frame, NDArray[np.float32], float]]:
        frame, request = self._busy[0]
        request.wait()
        yield frame, request.get_output_tensor().data[0], request.latency / 1000
        self._busy.popleft()
        self._idle.append(request)
