"""Measures tracks and counts on held-out synthetic scenes, through the shipped detector and tracker.

    python -m scripts.evaluate_tracking --scenes 40 --density 0.5 --out tracking.json

What counts as true. An object is *recognisable* in a frame when at least half of it lies inside the picture and at
least 60 % of that is uncovered. One recognisable for `MUST_S` seconds or more must be counted; others, which are there
but hardly to be seen, may be, so they and the tracks that lie on them are left out of the comparison. A scene is exact
when each object that must be counted has one track with its label and no other track is on it or on nothing.

Crossings are compared object by object, line by line, with label and direction. Those of its true boxes in the analysed
frames, from the first to the last in which it is recognisable, must be counted when its centre is at least a quarter of
its size beside the line before and after; those of all its true boxes in all frames may be. So one that stands on the
line when the clip begins or ends, or while it comes into the picture, is counted rightly either way; and so is one that
passes by an end of the line. The lines are three gates across the scene's main direction of travel, which end a little
before the picture's edge, where an object is cut off on one side of the line or the other.
"""

import argparse
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from scripts.synthetic_traffic import MIN_INSIDE, MIN_UNCOVERED, Scene, TruthObject, generate_scene
from vidintel.application.pipeline.frame_stages import AppearanceStage
from vidintel.application.pipeline.frames import detect_through
from vidintel.application.ports import Detector, Frame
from vidintel.domain.analytics import LINE_MARGIN, CrossingsFold, LineCount, MinimumTrack
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections
from vidintel.domain.geometry import Line, Point
from vidintel.domain.tracking import LOW_THRESHOLD, LiveTracks, Track, TrackBuilder, TrackPoint, points_of
from vidintel.infrastructure.inference.detectors import LoadedDetectors
from vidintel.infrastructure.inference.registry import DirectoryModelRegistry
from vidintel.infrastructure.media.appearance import ColourGridEncoder
from vidintel.infrastructure.tracking.tracker import MotionTracker

FIRST_SEED = 920_000
MUST_S = 1.0
MINIMUM = MinimumTrack()
RATES = (5, 25)
GATES = (0.35, 0.5, 0.65)
EDGE = 0.08
CERTAIN_MARGIN, POSSIBLE_MARGIN = 0.5, 0.0
"""Half box extents beside a line; see `CrossingsFold`."""
END_MARGIN = 0.02
"""A track that passes within this share of the picture of a line's end may be counted or not."""


@dataclass(frozen=True)
class Outcome:
    """One scene at one rate; `errors` counts what went wrong, by kind."""

    objects: int
    errors: Counter[str]
    crossings_exact: bool
    crossings_off: int
    crossings: int
    identified: int
    true_boxes: int
    tracked_boxes: int


def detect(scene: Scene, detector: Detector) -> list[FrameDetections]:
    """All frames of a scene through the detector, down to the confidence that the tracker wants."""
    fps = scene.parameters.fps
    frames = (Frame(index, index / fps, image) for index, image in enumerate(scene.frames()))
    detect_all = partial(detector.detect, min_confidence=LOW_THRESHOLD, iou_threshold=detector.info.iou_threshold)
    return list(detect_through([AppearanceStage(ColourGridEncoder())], frames, detect_all))


def near_truth(scene: Scene) -> list[FrameDetections]:
    """What a very good detector would see: the true boxes of what the model was taught to see, off by 2 % of their
    size, one in fifty missing. Shows what the tracker alone gets wrong."""
    rng = np.random.default_rng(scene.parameters.seed)
    encoder = ColourGridEncoder()
    frames = []
    for index, objects in enumerate(scene.truth):
        seen = []
        for one in objects:
            if not is_labelled(one) or rng.random() < 0.02:
                continue
            x1, y1, x2, y2 = one.box
            noise = rng.normal(0, 0.02, 4) * (x2 - x1, y2 - y1, x2 - x1, y2 - y1)
            box = BoundingBox(*(float(edge) for edge in np.clip(np.array(one.box) + noise, 0, 1)))
            seen.append(Detection(one.label, 0.9, box))
        embeddings = encoder.encode(scene.frame(index), [one.box for one in seen])
        seen = [replace(one, appearance=each) for one, each in zip(seen, embeddings, strict=True)]
        frames.append(FrameDetections(index, index / scene.parameters.fps, tuple(seen)))
    return frames


def is_recognisable(one: TruthObject) -> bool:
    return one.inside >= 0.5 and one.visible >= 0.6 * one.inside


def is_labelled(one: TruthObject) -> bool:
    return one.inside >= MIN_INSIDE and one.visible >= MIN_UNCOVERED * one.inside


def evaluate(scene: Scene, frames: list[FrameDetections], rate: int, track_confidence: float) -> Outcome:
    """Track every n-th frame, so that `rate` are analysed a second, and compare with the truth."""
    step = scene.parameters.fps // rate
    tracks, points = follow(frames[::step], 1 / rate, track_confidence)
    labels = {one.track_id: one.label for objects in scene.truth for one in objects}
    seconds = Counter(one.track_id for objects in scene.truth for one in objects if is_recognisable(one))
    must = {track_id for track_id in labels if seconds[track_id] >= MUST_S * scene.parameters.fps}
    lies_on = {track.track_id: object_under(points[track.track_id], scene) for track in tracks}
    compared = [track for track in tracks if MINIMUM.counts(track) and lies_on[track.track_id] in must | {0}]
    errors: Counter[str] = Counter()
    found = Counter(lies_on[track.track_id] for track in compared)
    for track_id in must:
        errors["missed"] += found[track_id] == 0
        errors["split"] += max(found[track_id] - 1, 0)
    for track in compared:
        under = lies_on[track.track_id]
        errors["false"] += under not in must
        errors["label"] += under in must and labels[under] != track.label
    analysed = range(0, len(scene.truth), step)
    certain = {track_id: true_points(scene, track_id, analysed) for track_id in must}
    lines = gates(certain)
    short, long = [lengthened(line, -END_MARGIN) for line in lines], [lengthened(line, END_MARGIN) for line in lines]
    off = total = 0
    for track_id in must | {0}:
        required = crossings(short, {track_id: certain.get(track_id, [])}, CERTAIN_MARGIN)
        possible = crossings(long, {track_id: all_points(scene, track_id)}, POSSIBLE_MARGIN)
        seen = crossings(
            lines, {track.track_id: points[track.track_id] for track in compared if lies_on[track.track_id] == track_id}
        )
        total += required.total()
        for key in required | possible | seen:
            low, high = sorted((required[key], possible[key]))
            off += max(low - seen[key], seen[key] - high, 0)
    return Outcome(len(must), +errors, off == 0, off, total, *identity(scene, compared, points, step, must))


def follow(
    frames: list[FrameDetections], interval_s: float, track_confidence: float
) -> tuple[list[Track], dict[int, list[TrackPoint]]]:
    """Tracks, and the points of each."""
    tracker = MotionTracker(interval_s, track_confidence)
    live = LiveTracks(tracker.memory_s)
    tracks: list[Track] = []
    points: dict[int, list[TrackPoint]] = defaultdict(list)
    tracked = [decided for frame in frames for decided in tracker.update(frame)]
    for decided in [*tracked, *tracker.finish()]:
        tracks += live.add(decided)
        for track_id, point in points_of(decided):
            points[track_id].append(point)
    return [*tracks, *live.close()], points


def object_under(points: list[TrackPoint], scene: Scene) -> int:
    """The object that most of a track's boxes lie on, 0 for none."""
    votes: Counter[int] = Counter()
    for point in points:
        overlaps = [(point.box.iou(BoundingBox(*one.box)), one.track_id) for one in scene.truth[point.frame]]
        overlap, track_id = max(overlaps, default=(0.0, 0))
        votes[track_id if overlap > 0.3 else 0] += 1
    return votes.most_common(1)[0][0]


def all_points(scene: Scene, track_id: int) -> list[TrackPoint]:
    """All boxes of an object, covered or cut off as it may be; none for object 0."""
    return [
        TrackPoint(index, index / scene.parameters.fps, BoundingBox(*one.box), 1.0, one.label)
        for index, objects in enumerate(scene.truth)
        for one in objects
        if one.track_id == track_id
    ]


def true_points(scene: Scene, track_id: int, analysed: range) -> list[TrackPoint]:
    """The boxes of an object in the analysed frames from the first to the last in which it is recognisable."""
    clear = [
        index
        for index in analysed
        if any(one.track_id == track_id and is_recognisable(one) for one in scene.truth[index])
    ]
    return [
        point
        for point in all_points(scene, track_id)
        if point.frame in analysed and clear[0] <= point.frame <= clear[-1]
    ]


def gates(truth: dict[int, list[TrackPoint]]) -> list[Line]:
    """Lines across the mean axis of travel, to near the picture's edges."""
    ways = [_place(points[-1]) - _place(points[0]) for points in truth.values()]
    # doubling the angle makes there and back the same axis
    axis = sum((way**2 / (abs(way) or 1.0) for way in ways), 0j) ** 0.5
    axis = axis / abs(axis) if axis else complex(1)
    found = []
    for place in GATES:
        centre, across = complex(0.5, 0.5) + (place - 0.5) * axis, axis * 1j
        reaches = [
            max(step / 1000 for step in range(1000) if _is_well_inside(centre + sign * across * step / 1000))
            for sign in (-1, 1)
        ]
        start, end = centre - across * reaches[0], centre + across * reaches[1]
        found.append(Line(f"gate at {place:.0%}", Point(start.real, start.imag), Point(end.real, end.imag)))
    return found


def lengthened(line: Line, by: float) -> Line:
    """The same line, longer ``by`` a share of the picture at both ends; shorter when negative."""
    start, end = complex(line.start.x, line.start.y), complex(line.end.x, line.end.y)
    step = by * (end - start) / abs(end - start)
    start, end = start - step, end + step
    return Line(line.name, Point(start.real, start.imag), Point(end.real, end.imag))


def _place(point: TrackPoint) -> complex:
    return complex(point.anchor.x, point.anchor.y)


def _is_well_inside(place: complex) -> bool:
    return EDGE <= place.real <= 1 - EDGE and EDGE <= place.imag <= 1 - EDGE


def crossings(
    lines: list[Line], tracks: dict[int, list[TrackPoint]], margin: float = LINE_MARGIN
) -> Counter[tuple[str, str, str]]:
    """Crossings by line, label and direction."""
    fold = CrossingsFold(lines, MINIMUM, margin)
    for track_id, points in tracks.items():
        for point in points:
            fold.add(track_id, point)
        if points:
            fold.finish(_track(track_id, points))
    counted: Counter[tuple[str, str, str]] = Counter()
    for count in fold.result():
        counted.update(_directions(count))
    return counted


def identity(
    scene: Scene, tracks: list[Track], points: dict[int, list[TrackPoint]], step: int, must: set[int]
) -> tuple[int, int, int]:
    """Identity true positives, true boxes and tracked boxes (Ristani et al. 2016; overlap of 0.5) for IDF1.

    True boxes are those of objects that must be counted, while they are recognisable; a box on anything else that is
    true is left out.
    """
    together: Counter[tuple[int, int]] = Counter()
    true_boxes: Counter[int] = Counter()
    tracked_boxes: Counter[int] = Counter()
    by_frame: dict[int, list[tuple[int, BoundingBox]]] = defaultdict(list)
    for track in tracks:
        for point in points[track.track_id]:
            by_frame[point.frame].append((track.track_id, point.box))
    for index in range(0, len(scene.truth), step):
        wanted = {one.track_id for one in scene.truth[index] if one.track_id in must and is_recognisable(one)}
        true_boxes.update(wanted)
        for track_id, box in by_frame[index]:
            over = {one.track_id: box.iou(BoundingBox(*one.box)) for one in scene.truth[index]}
            on = {true_id for true_id, overlap in over.items() if overlap >= 0.5}
            if on - wanted and not on & wanted:
                continue
            tracked_boxes[track_id] += 1
            together.update((true_id, track_id) for true_id in on & wanted)
    rows, columns = sorted(true_boxes), sorted(tracked_boxes)
    matrix = np.array([[together[row, column] for column in columns] for row in rows]).reshape(len(rows), len(columns))
    chosen = linear_sum_assignment(matrix, maximize=True)
    return int(matrix[chosen].sum()), true_boxes.total(), tracked_boxes.total()


def summarise(outcomes: list[Outcome]) -> dict[str, object]:
    errors: Counter[str] = sum((outcome.errors for outcome in outcomes), Counter())
    boxes = sum(outcome.true_boxes + outcome.tracked_boxes for outcome in outcomes)
    return {
        "scenes": len(outcomes),
        "objects": sum(outcome.objects for outcome in outcomes),
        "scenes_exact_unique": sum(not outcome.errors for outcome in outcomes) / len(outcomes),
        "scenes_exact_crossings": sum(outcome.crossings_exact for outcome in outcomes) / len(outcomes),
        "objects_wrong": dict(sorted(errors.items())),
        "crossings": sum(outcome.crossings for outcome in outcomes),
        "crossings_wrong": sum(outcome.crossings_off for outcome in outcomes),
        "idf1": round(2 * sum(outcome.identified for outcome in outcomes) / boxes, 4),
    }


def _track(track_id: int, points: list[TrackPoint]) -> Track:
    builder = TrackBuilder(track_id, points[0])
    for point in points[1:]:
        builder.add(point)
    return builder.build()


def _directions(count: LineCount) -> dict[tuple[str, str, str], int]:
    return {(count.line, count.label, "forward"): count.forward, (count.line, count.label, "backward"): count.backward}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--density", type=float, action="append", help="may be given several times; default 0.5")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--model", default="traffic-yolov8n")
    parser.add_argument("--near-truth", action="store_true", help="noisy true boxes in place of the detector's")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    given = parser.parse_args()
    detector = LoadedDetectors(DirectoryModelRegistry(given.models, given.model)).get(given.model)
    densities: list[float] = given.density or [0.5]
    outcomes: dict[tuple[float, int], list[Outcome]] = defaultdict(list)
    for density, seed in product(densities, range(given.first_seed, given.first_seed + given.scenes)):
        scene = generate_scene(seed, density=density)
        frames = near_truth(scene) if given.near_truth else detect(scene, detector)
        for rate in RATES:
            outcome = evaluate(scene, frames, rate, detector.info.track_confidence)
            outcomes[density, rate].append(outcome)
            print(density, seed, rate, outcome.objects, dict(outcome.errors), outcome.crossings_off, flush=True)
    report = [{"density": key[0], "frames_per_s": key[1], **summarise(found)} for key, found in outcomes.items()]
    for row in report:
        print(json.dumps(row))
    if given.out:
        given.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
