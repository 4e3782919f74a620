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

from vidintel.application.pipeline.appearance import Appearances
from vidintel.application.pipeline.similar_frames import SimilarFrames
from vidintel.application.ports import Detector, Frame, Image, MediaLimits
from vidintel.domain.detection import FrameDetections
from vidintel.domain.segment import SegmentSpan
from vidintel.domain.shots import FrameColours, ShotChangesFold
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
    decoder, gauge, concurrency = PyAvVideoDecoder(), BlockFrameDifferencer(), WorkSettings().concurrency
    with clip.open("rb") as content:
        plan = decoder.plan(content, segment_s=AnalysisSettings().segment_s, sample_fps=sample_fps, limits=_LIMITS)

    def run(span: SegmentSpan) -> list[FrameDetections]:
        with clip.open("rb") as content:
            frames = _metered(decoder.frames(content, span, sample_fps=sample_fps))
            similar, appearances = SimilarFrames(gauge), Appearances(ColourGridEncoder())
            analysed = detector.detect(
                appearances.kept(similar.distinct(frames) if reuse_similar else frames),
                min_confidence=MIN_CONFIDENCE,
                iou_threshold=IOU,
            )
            return list(similar.restored(appearances.measured(analysed)))

    with ThreadPoolExecutor(concurrency) as threads:
        running: deque[Future[list[FrameDetections]]] = deque()
        for span in plan.segments:
            running.append(threads.submit(run, span))
            if len(running) > concurrency:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _metered(frames: Iterator[Frame]) -> Iterator[Frame]:
    """With the colours of each frame measured for shot changes, as a worker does."""
    meter, shots = HsvColourHistogram(), ShotChangesFold()
    for frame in frames:
        shots.add(FrameColours(frame.time_s, meter.counts(frame.image)))
        yield frame


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
