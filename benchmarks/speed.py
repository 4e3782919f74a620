"""The whole system against `yolo predict`, inference alone and decoding alone."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import clips, peer, pipeline
from benchmarks.bench import Bench
from benchmarks.report import Row, Skipped, Timed
from benchmarks.rounds import in_turn, timed
from vidintel.application.ports import Detector

MODEL = clips.ROOT / "models" / "traffic-yolov8n"
INT8 = clips.REAL_CLIPS / "yolov8n_coco_int8_openvino_model"
SIZE = 640


def whole_system(bench: Bench) -> Iterator[Row | Skipped]:
    """Every frame of a 1080p clip, at YOLOv8's usual input of 640, against Ultralytics' own `predict`."""
    clip = clips.full_hd(clips.usual_clip(), bench.work, frames=150 if bench.is_quick else 375)
    model = pipeline.model_of_size(MODEL, bench.work, SIZE)
    detector = pipeline.load(model, bench.work / "cache")
    contestants: dict[str, Callable[[], Timed]] = {"ours": partial(_ours, clip, detector, None)}
    _warm(clip, detector)
    with ExitStack() as stack:
        try:
            other = stack.enter_context(peer.ultralytics(bench.results / "peer.log"))
        except peer.PeerUnavailable as error:
            yield Skipped("predict", str(error))
            return
        weights = other.make_weights(bench.work)
        contestants |= {
            "pt": partial(other.predict, weights, clip, SIZE),
            "openvino": partial(other.predict, model, clip, SIZE),
        }
        if INT8.is_dir():
            quantised = pipeline.load(INT8, bench.work / "cache")
            _warm(clip, quantised)
            contestants |= {
                "int8 ours": partial(_ours, clip, quantised, None),
                "int8 openvino": partial(other.predict, INT8, clip, SIZE),
            }
        warm = clips.full_hd(clips.usual_clip(), bench.work, frames=10)
        for each in [weights, model] + [INT8] * INT8.is_dir():
            other.predict(each, warm, SIZE)
        found = in_turn(contestants, bench.rounds)
        about = {"clip": clip.name, "peer": other.versions, "weights of the .pt": "random: same speed as trained ones"}
    yield _row("predict-pt", "every frame of 1080p, 640: against predict on .pt", found, "ours", "pt", 5.0, about)
    yield _row(
        "predict-openvino", "the same: against predict on the OpenVINO export", found, "ours", "openvino", 1.5, about
    )
    if "int8 ours" in found:
        yield _row(
            "predict-openvino-int8", "the same with INT8 weights, 640×640", found, "int8 ours", "int8 openvino", 1.5
        )


def parts(bench: Bench) -> Iterator[Row | Skipped]:
    """The whole system against inference alone, and at 5 sampled frames per second against decoding alone."""
    small = clips.usual_clip()
    large = clips.full_hd(small, bench.work, frames=150 if bench.is_quick else 375)
    model = pipeline.model_of_size(MODEL, bench.work, SIZE)
    cache = bench.work / "cache"
    detector, shipped = pipeline.load(model, cache), pipeline.load(MODEL, cache)
    alone = {clip: pipeline.inference_alone(model, pipeline.first_pictures(clip, 8), cache) for clip in (small, large)}
    frames = {clip: pipeline.decode(clip) for clip in (small, large)}
    for clip in (small, large):
        alone[clip](16)
        _warm(clip, detector)
        _warm(clip, shipped)
    contestants: dict[str, Callable[[], Timed]] = {
        "small": partial(_ours, small, detector, None),
        "small alone": lambda: timed(lambda: alone[small](frames[small])),
        "large": partial(_ours, large, detector, None),
        "large alone": lambda: timed(lambda: alone[large](frames[large])),
        "sampled": partial(_ours, large, detector, 5.0, frames[large]),
        "sampled, shipped": partial(_ours, large, shipped, 5.0, frames[large]),
        "decode": lambda: timed(lambda: pipeline.decode(large)),
    }
    found = in_turn(contestants, bench.rounds)
    yield _row("inference-alone", f"every frame of {small.name}, 640: against inference alone", found, "small",
               "small alone", 0.85, by_cpu=True)  # fmt: skip
    yield _row("inference-alone-1080p", "the same at 1080p", found, "large", "large alone", 0.85, by_cpu=True)
    yield _row("decode-alone", "5 of 25 frames/s of 1080p, shipped model (512): against decoding alone", found,
               "sampled, shipped", "decode", 0.7, by_cpu=True)  # fmt: skip
    yield _row("decode-alone-640", "the same at 640", found, "sampled", "decode", 0.7, by_cpu=True)


def _ours(clip: Path, detector: Detector, sample_fps: float | None, frames: int | None = None) -> Timed:
    """``frames`` says how many the clip has, where these are counted rather than those analysed."""

    def run() -> int:
        analysed = len(pipeline.analyse(clip, detector, sample_fps))
        return analysed if frames is None else frames

    return timed(run)


def _warm(clip: Path, detector: Detector) -> None:
    pipeline.analyse(clip, detector, 1.0)


def _row(
    key: str,
    what: str,
    found: dict[str, list[Timed]],
    ours: str,
    other: str,
    target: float,
    detail: Mapping[str, object] | None = None,
    *,
    by_cpu: bool = False,
) -> Row:
    pairs = list(zip(found[ours], found[other], strict=True))
    return Row.of_rounds(key, what, "frames/s", pairs, target, by_cpu=by_cpu, detail=detail)
