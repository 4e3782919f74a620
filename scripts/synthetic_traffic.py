"""Synthetic traffic seen from above, with exact ground truth: clips for tests and demos, data sets for training.

    python -m scripts.synthetic_traffic clip --seed 7 --seconds 20 --out x.mp4      (and x.truth.json beside it)
    python -m scripts.synthetic_traffic dataset --scenes 100 --out DIR              (images and YOLO labels)

Cars and trucks keep to their lanes and their distance, people use pavements and crossings or walk freely, and all pass
under bridges, signs and tree crowns. One seed always gives the same frames and the same truth.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import cv2
import numpy as np

from scripts.traffic_drawing import Picture, Stamp, blend, stamp
from scripts.traffic_motion import Mover, Road, road_centre, vehicles_on, walkers
from scripts.traffic_scenery import Scenery, draw_scenery

LABELS = ("car", "truck", "person")
MIN_INSIDE = 0.2
MIN_UNCOVERED = 0.4
_HEIGHTS = {"car": 5.0, "truck": 10.0, "person": 6.0}


@dataclass(frozen=True)
class SceneParameters:
    """What a scene is made from.

    `density` scales the number of road users (1 is lively, 0.5 half of that). With `even_loads` the rarer kinds of
    trucks are as frequent as the usual one.
    """

    seed: int
    seconds: float = 20.0
    fps: int = 25
    width: int = 640
    height: int = 360
    density: float = 1.0
    even_loads: bool = False

    @property
    def frame_count(self) -> int:
        """Number of frames, at least one."""
        return max(1, round(self.seconds * self.fps))


@dataclass(frozen=True)
class TruthObject:
    """One road user in one frame.

    `box` is xyxy, 0..1 of the picture, of the whole object cut at the picture's edges, covered or not, without its
    shadow. `visible` is the share of the object that can be seen: neither outside the picture nor covered. `inside` is
    the share inside the picture, covered or not.
    """

    track_id: int
    label: str
    box: tuple[float, float, float, float]
    visible: float
    inside: float


@dataclass(frozen=True, eq=False)
class _Placed:
    track_id: int
    mover: Mover
    stamp: Stamp
    box: tuple[float, float, float, float]


class Scene:
    """A scene that can be drawn and asked for its truth frame by frame, in any order."""

    def __init__(self, parameters: SceneParameters, scenery: Scenery, movers: list[Mover]) -> None:
        self.parameters = parameters
        self._scenery = scenery
        self._movers = self._by_first_sight(movers)

    def frame(self, index: int) -> Picture:
        """Frame number `index`, BGR (H, W, 3)."""
        scenery = self._scenery
        placed = self._placed(index)
        picture = scenery.ground.copy()
        for level in (0, 1):
            if level and scenery.deck:
                blend(picture, scenery.deck.image, scenery.deck.mask)
            riders = [one for one in placed if one.mover.level == level]
            for one in riders:
                self._cast_shadow(picture, one)
            for one in riders:
                if cut := one.stamp.within(picture.shape[1], picture.shape[0]):
                    where, image = cut
                    blend(picture[where], image[..., :3], image[..., 3])
        blend(picture, scenery.overhead.image, scenery.overhead.mask)
        lit = np.multiply(picture, scenery.light, dtype=np.float32)
        left, top = np.random.default_rng((self.parameters.seed, index)).integers(0, 64, 2)
        lit += scenery.noise[top : top + picture.shape[0], left : left + picture.shape[1]]
        return np.asarray(np.clip(lit + 0.5, 0, 255), np.uint8)

    def frames(self) -> Iterator[Picture]:
        """All frames in order, BGR (H, W, 3)."""
        return (self.frame(index) for index in range(self.parameters.frame_count))

    def objects(self, index: int) -> list[TruthObject]:
        """Who is in frame number `index`, those wholly covered included, ordered by track."""
        width, height = self.parameters.width, self.parameters.height
        placed = self._placed(index)
        owner = np.zeros((height, width), np.int32)
        for level in (0, 1):
            if level and self._scenery.deck:
                owner[self._scenery.deck.mask > 127] = 0
            for one in placed:
                if one.mover.level == level and (cut := one.stamp.within(width, height)):
                    where, image = cut
                    owner[where][image[..., 3] > 127] = one.track_id
        owner[self._scenery.overhead.mask > 127] = 0
        seen = np.bincount(owner.ravel(), minlength=len(self._movers) + 1)
        truth = []
        for one in placed:
            whole = np.count_nonzero(one.stamp.image[..., 3] > 127)
            cut = one.stamp.within(width, height)
            inside = np.count_nonzero(cut[1][..., 3] > 127) if cut else 0
            x0, y0, x1, y1 = one.box
            box = (max(x0, 0) / width, max(y0, 0) / height, min(x1, width) / width, min(y1, height) / height)
            truth.append(
                TruthObject(one.track_id, one.mover.label, box, float(seen[one.track_id] / whole), inside / whole)
            )
        return sorted(truth, key=lambda seen_object: seen_object.track_id)

    @cached_property
    def truth(self) -> list[list[TruthObject]]:
        """The objects of every frame."""
        return [self.objects(index) for index in range(self.parameters.frame_count)]

    def _by_first_sight(self, movers: list[Mover]) -> list[Mover]:
        seen: dict[int, Mover] = {}
        for index in range(self.parameters.frame_count):
            for mover in movers:
                if id(mover) not in seen and self._box_inside(mover, index):
                    seen[id(mover)] = mover
        return list(seen.values())

    def _box_inside(self, mover: Mover, index: int) -> tuple[float, float, float, float] | None:
        pose = mover.pose(index / self.parameters.fps)
        if pose is None:
            return None
        sprite, x, y, heading = pose
        x0, y0, x1, y1 = sprite.box(x, y, heading)
        width, height = self.parameters.width, self.parameters.height
        return (x0, y0, x1, y1) if x1 > 1 and y1 > 1 and x0 < width - 1 and y0 < height - 1 else None

    def _placed(self, index: int) -> list[_Placed]:
        placed = []
        for track_id, mover in enumerate(self._movers, start=1):
            box, pose = self._box_inside(mover, index), mover.pose(index / self.parameters.fps)
            if box and pose:
                placed.append(_Placed(track_id, mover, stamp(*pose), box))
        return placed

    def _cast_shadow(self, picture: Picture, one: _Placed) -> None:
        height = _HEIGHTS[one.mover.label]
        for share in (0.5, 1.0):
            dx, dy = (round(unit * height * share) for unit in self._scenery.shadow)
            if cut := one.stamp.within(picture.shape[1], picture.shape[0], dx, dy):
                where, image = cut
                depth = (image[..., 3] * (self._scenery.shadow_depth * 0.6)).astype(np.uint8)
                blend(picture[where], np.zeros_like(image[..., :3]), depth)


def generate_scene(
    seed: int,
    seconds: float = 20.0,
    fps: int = 25,
    width: int = 640,
    height: int = 360,
    density: float = 1.0,
    even_loads: bool = False,
) -> Scene:
    """Lay out a scene; see `SceneParameters` for the arguments. Road users keep their size at any picture size."""
    parameters = SceneParameters(seed, seconds, fps, width, height, density, even_loads)
    rng = np.random.default_rng(seed)
    size = (width, height)
    roads = _lay_out_roads(rng, size)
    movers: list[Mover] = []
    for road in roads:
        movers += vehicles_on(rng, road, size, seconds, density, even_loads)
    people = rng.uniform(4, 9) * (1 + seconds / 16) * (width * height) / (640 * 360)
    movers += walkers(rng, roads, movers, size, seconds, round(people * density * (1 if roads else 1.6)))
    return Scene(parameters, draw_scenery(rng, size, roads), movers)


def _lay_out_roads(rng: np.random.Generator, size: tuple[int, int]) -> list[Road]:
    width, height = size
    reach = float(np.hypot(width, height)) + 180

    def road(x: float, y: float, heading: float, curvature: float, lanes: int, level: int) -> Road:
        crossings = (reach + rng.uniform(-180, 180),) if level == 0 and rng.random() < 0.5 else ()
        centre = road_centre(x, y, heading, curvature, reach)
        pavement = rng.uniform(26, 44) if level == 0 else 5.0
        return Road(centre, lanes, rng.uniform(49, 57), pavement, level, crossings)

    x, y = rng.uniform(0.3, 0.7) * width, rng.uniform(0.35, 0.65) * height
    heading, curvature = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1) / 1500 * float(rng.random() < 0.5)
    kind = rng.random()
    if kind < 0.50:
        return [road(x, y, heading, curvature, int(rng.choice([1, 2], p=[0.55, 0.45])), 0)]
    if kind < 0.72:
        crossing = heading + rng.choice([-1, 1]) * rng.uniform(0.9, np.pi / 2)
        return [road(x, y, heading, curvature, 1, 0), road(x, y, float(crossing), 0.0, 1, 1)]
    if kind < 0.88:
        across, half = heading + np.pi / 2, rng.uniform(95, 130)
        dx, dy = float(np.cos(across)) * half, float(np.sin(across)) * half
        return [road(x + side * dx, y + side * dy, heading, 0.0, 1, 0) for side in (-1, 1)]
    return []


def write_clip(
    path: Path, scene: Scene, crf: int = 25, preset: str = "slow", keyframe_s: float = 2.0, codec: str = "libx264"
) -> None:
    """Encode a scene as MP4 (yuv420p, index in front): constant quality `crf`, a keyframe each `keyframe_s` seconds."""
    parameters = scene.parameters
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream(codec, rate=Fraction(parameters.fps))
        if not isinstance(stream, av.VideoStream):
            raise ValueError(f"{codec} is not a video codec")
        stream.width, stream.height, stream.pix_fmt = parameters.width, parameters.height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": preset, "g": str(round(keyframe_s * parameters.fps))}
        for picture in scene.frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())


def write_truth(path: Path, scene: Scene) -> None:
    """Write the truth of a scene as compact JSON: picture size, fps, seed, `frames` and `tracks`."""
    parameters = scene.parameters
    frames = []
    spans: dict[int, tuple[str, float, float]] = {}
    for index, objects in enumerate(scene.truth):
        time_s = round(index / parameters.fps, 4)
        for one in objects:
            spans[one.track_id] = (one.label, spans.get(one.track_id, (one.label, time_s))[1], time_s)
        listed = [
            {
                "track_id": one.track_id,
                "label": one.label,
                "box": [round(edge, 4) for edge in one.box],
                "visible": round(one.visible, 2),
            }
            for one in objects
        ]
        frames.append({"time_s": time_s, "objects": listed})
    tracks = [
        {"track_id": track_id, "label": label, "first_s": first, "last_s": last}
        for track_id, (label, first, last) in sorted(spans.items())
    ]
    document = {
        "width": parameters.width,
        "height": parameters.height,
        "fps": parameters.fps,
        "seed": parameters.seed,
        "frames": frames,
        "tracks": tracks,
    }
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n")


def write_dataset(out: Path, split: str, seeds: range, per_scene: int = 2, *, even_loads: bool = False) -> int:
    """Write `images/split` and `labels/split` (YOLO: class, centre and size, 0..1); returns the number of images.

    An object is labelled when enough of it lies inside the picture and enough of that is not covered.
    """
    images, labels = out / "images" / split, out / "labels" / split
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    written = 0
    for seed in seeds:
        rng = np.random.default_rng((seed, 1))
        scene = generate_scene(seed, seconds=6.0, fps=10, density=float(rng.uniform(0.5, 1.6)), even_loads=even_loads)
        count = scene.parameters.frame_count
        for part in range(per_scene):
            index = int((part + rng.random()) * count / per_scene)
            lines = []
            for one in scene.objects(index):
                if one.inside < MIN_INSIDE or one.visible < MIN_UNCOVERED * one.inside:
                    continue
                x0, y0, x1, y1 = one.box
                numbers = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
                lines.append(" ".join([str(LABELS.index(one.label)), *(f"{number:.5f}" for number in numbers)]))
            name = f"{seed:06d}_{index:03d}"
            quality = int(rng.integers(55, 96))
            cv2.imwrite(str(images / f"{name}.jpg"), scene.frame(index), [cv2.IMWRITE_JPEG_QUALITY, quality])
            (labels / f"{name}.txt").write_text("\n".join(lines) + "\n")
            written += 1
    return written


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    clip = commands.add_parser("clip", help="one clip and its truth beside it")
    clip.add_argument("--seed", type=int, default=7)
    clip.add_argument("--seconds", type=float, default=20.0)
    clip.add_argument("--fps", type=int, default=25)
    clip.add_argument("--width", type=int, default=640)
    clip.add_argument("--height", type=int, default=360)
    clip.add_argument("--density", type=float, default=1.0)
    clip.add_argument("--crf", type=int, default=25)
    clip.add_argument("--out", type=Path, required=True)
    dataset = commands.add_parser("dataset", help="images and YOLO labels")
    dataset.add_argument("--scenes", type=int, default=100)
    dataset.add_argument("--first-seed", type=int, default=100_000)
    dataset.add_argument("--per-scene", type=int, default=2)
    dataset.add_argument("--split", default="train")
    dataset.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.command == "clip":
        scene = generate_scene(given.seed, given.seconds, given.fps, given.width, given.height, given.density)
        write_clip(given.out, scene, crf=given.crf)
        write_truth(given.out.with_suffix(".truth.json"), scene)
    else:
        seeds = range(given.first_seed, given.first_seed + given.scenes)
        write_dataset(given.out, given.split, seeds, given.per_scene)


if __name__ == "__main__":
    main()
