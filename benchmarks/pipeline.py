"""The whole system, from the file to domain detections, and its parts alone."""

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle, islice
from json import dumps, loads
from pathlib import Path

import av
import numpy as np
import openvino as ov
import yaml
from numpy.typing import NDArray
from openvino import properties
from openvino.properties import hint

from vidintel.application.pipeline.frame_stages import FrameStages
from vidintel.application.pipeline.frames import detect_through
from vidintel.application.ports import Detector, Frame, Image, MediaLimits
from vidintel.domain.analysis import AnalysisSpec
from vidintel.domain.detection import FrameDetections
from vidintel.domain.segment import SegmentSpan
from vidintel.infrastructure.inference.openvino import DEFAULT_PRECISION, OpenVinoDetector, Precision
from vidintel.infrastructure.inference.registry import DirectoryModelRegistry
from vidintel.infrastructure.inference.yolov8 import Letterbox
from vidintel.infrastructure.media.appearance import ColourGridEncoder
from vidintel.infrastructure.media.colour_histogram import HsvColourHistogram
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder
from vidintel.infrastructure.media.frame_differencing import BlockFrameDifferencer
from vidintel.infrastructure.memory import return_free_memory
from vidintel.settings.model import AnalysisSettings, WorkSettings

MIN_CONFIDENCE, IOU = 0.25, 0.7
_LIMITS = MediaLimits(max_duration_s=1e6, max_side_px=8192)


def model_of_size(source: Path, folder: Path, size: int) -> Path:
    """A copy of the model in ``source``, whose input size is dynamic, that is run at ``size`` × ``size``."""
    target = folder / f"{source.name}-{size}_openvino_model"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    ours, theirs = target / "model.json", target / "metadata.yaml"
    ours.write_text(dumps({**loads(ours.read_text("utf-8")), "input_size": [size, size]}), "utf-8")
    theirs.write_text(yaml.safe_dump({**yaml.safe_load(theirs.read_text("utf-8")), "imgsz": [size, size]}), "utf-8")
    return target


def load(model: Path, cache: Path, precision: Precision = DEFAULT_PRECISION) -> OpenVinoDetector:
    registry = DirectoryModelRegistry.serving(str(model))
    stored = registry.stored(registry.default_name)
    return OpenVinoDetector(stored.info, stored.network, cache_dir=cache, precision=precision)


def analyse(
    clip: Path, detector: Detector, sample_fps: float | None, *, reuse_similar: bool = False
) -> list[FrameDetections]:
    """As a worker process does it: plan, then segments of the usual length, as many at a time as is usual."""
    return [frame for segment in _segments(clip, detector, sample_fps, reuse_similar) for frame in segment]


def analyse_and_forget(clip: Path, detector: Detector, sample_fps: float | None) -> None:
    """The same, keeping no more than what is in work, since a worker has stored what came before."""
    for _ in _segments(clip, detector, sample_fps, False):
        return_free_memory()


def _segments(
    clip: Path, detector: Detector, sample_fps: float | None, reuse_similar: bool
) -> Iterator[list[FrameDetections]]:
    decoder, concurrency = PyAvVideoDecoder(), WorkSettings().concurrency
    stages_of = FrameStages(HsvColourHistogram(), BlockFrameDifferencer(), ColourGridEncoder())
    spec = AnalysisSpec(detector.info.name, sample_fps, reuse_similar=reuse_similar)
    with clip.open("rb") as content:
        plan = decoder.plan(content, segment_s=AnalysisSettings().segment_s, sample_fps=sample_fps, limits=_LIMITS)

    def detect(frames: Iterator[Frame]) -> Iterator[FrameDetections]:
        return detector.detect(frames, min_confidence=MIN_CONFIDENCE, iou_threshold=IOU)

    def run(span: SegmentSpan) -> list[FrameDetections]:
        with clip.open("rb") as content:
            frames = decoder.frames(content, span, sample_fps=sample_fps)
            return list(detect_through(stages_of(spec), frames, detect))

    with ThreadPoolExecutor(concurrency) as threads:
        running: deque[Future[list[FrameDetections]]] = deque()
        for span in plan.segments:
            running.append(threads.submit(run, span))
            if len(running) > concurrency:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def decode(clip: Path) -> int:
    """What PyAV alone takes to decode every frame, on all cores, keeping none."""
    with av.open(str(clip)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in container.decode(video=0))


def inference_alone(model: Path, pictures: Sequence[Image], cache: Path) -> Callable[[int], int]:
    """Runs the network of ``model``, compiled with the same hints, over ready inputs; returns what takes ``count``."""
    registry = DirectoryModelRegistry.serving(str(model))
    stored = registry.stored(registry.default_name)
    is_dynamic = ov.Core().read_model(stored.network).input().partial_shape.is_dynamic
    height, width = pictures[0].shape[:2]
    letterbox = Letterbox.fit((height, width), stored.info.input_size, tight=is_dynamic)
    inputs = [_network_input(each, letterbox) for each in pictures]
    core = ov.Core()
    network = core.read_model(stored.network)
    network.reshape(list(inputs[0].shape))
    options = {
        hint.performance_mode(): hint.PerformanceMode.THROUGHPUT,
        hint.inference_precision(): ov.Type.bf16,
        properties.cache_dir(): str(cache),
    }
    queue = ov.AsyncInferQueue(core.compile_model(network, "CPU", options))

    def run(count: int) -> int:
        for picture in islice(cycle(inputs), count):
            queue.start_async({0: picture})
        queue.wait_all()
        return count

    return run


def _network_input(picture: Image, letterbox: Letterbox) -> NDArray[np.float32]:
    canvas = np.empty((*letterbox.canvas, 3), dtype=np.uint8)
    letterbox.blank(canvas)
    letterbox.draw(picture, canvas)
    return np.ascontiguousarray(canvas[None, :, :, ::-1].transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


def first_pictures(clip: Path, count: int) -> list[Image]:
    with av.open(str(clip)) as container:
        shown = islice(container.decode(video=0), count)
        return [np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8) for frame in shown]
