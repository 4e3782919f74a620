"""Where the road users of a synthetic scene are at each moment: roads, lanes, car following and walkers.

Positions are picture pixels, times seconds, headings radians. Everything is laid out on a fixed grid of `STEP` seconds,
so that a scene moves alike at every frame rate.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scripts.traffic_drawing import Sprite, car_sprite, person_sprites, truck_sprite

STEP = 0.04
_ENTRY = 150.0
_WALKER_ENTRY = 34.0
_GAP = 13.0
_HEADWAY_S = 0.65
_ACCELERATION = 70.0
_BRAKING = 110.0
_STRIDE = 26.0

Floats = NDArray[np.float64]


class Path:
    """A curve followed from its start to its end, asked by the distance along it."""

    def __init__(self, points: Floats) -> None:
        self.points = points
        steps = np.diff(points, axis=0)
        self._along = np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])
        headings = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
        self._headings = np.append(headings, headings[-1])

    @property
    def length(self) -> float:
        """Length in pixels."""
        return float(self._along[-1])

    def at(self, distance: Floats) -> tuple[Floats, Floats, Floats]:
        """x, y and heading at the distances (pixels) along the curve."""
        return (
            np.interp(distance, self._along, self.points[:, 0]),
            np.interp(distance, self._along, self.points[:, 1]),
            np.interp(distance, self._along, self._headings),
        )

    def shifted(self, offset: float) -> "Path":
        """The parallel curve `offset` pixels to the right of the direction of travel."""
        normals = np.stack([-np.sin(self._headings), np.cos(self._headings)], axis=1)
        return Path(self.points + offset * normals)

    def reversed(self) -> "Path":
        """The same curve travelled the other way."""
        return Path(self.points[::-1].copy())

    def across(self, width: int, height: int, margin: float) -> "Path | None":
        """The stretch over the picture with `margin` pixels at each end, None where it misses the picture."""
        x, y = self.points[:, 0], self.points[:, 1]
        inside = np.flatnonzero((x > 0) & (x < width) & (y > 0) & (y < height))
        if inside.size < 20:
            return None
        first = np.searchsorted(self._along, self._along[inside[0]] - margin)
        last = np.searchsorted(self._along, self._along[inside[-1]] + margin)
        return Path(self.points[first : last + 1])


@dataclass(frozen=True, eq=False)
class Road:
    """A road along `centre` with `lanes` lanes of `lane_width` pixels each way and a pavement on both sides.

    `level` 1 is a flyover above whatever moves on level 0; `crossings` are distances along the centre.
    """

    centre: Path
    lanes: int
    lane_width: float
    pavement: float
    level: int
    crossings: tuple[float, ...]

    @property
    def half_width(self) -> float:
        """From the centre line to the kerb, pixels."""
        return self.lanes * self.lane_width


@dataclass(frozen=True, eq=False)
class Mover:
    """One road user over the time grid: arrays of equal length that start at `start_s`.

    `sprites` holds one sprite for a vehicle and a stride's phases for a person, walked through by `travelled` pixels.
    """

    label: str
    level: int
    sprites: list[Sprite]
    start_s: float
    x: Floats
    y: Floats
    heading: Floats
    travelled: Floats

    def pose(self, time_s: float) -> tuple[Sprite, float, float, float] | None:
        """Sprite, x, y and heading at a moment, None before it came or after it left."""
        index = (time_s - self.start_s) / STEP
        if index < 0 or index > self.x.size - 1:
            return None
        low = min(int(index), self.x.size - 2)
        share = index - low

        def between(values: Floats) -> float:
            return float(values[low] * (1 - share) + values[low + 1] * share)

        phase = int(between(self.travelled) / _STRIDE * len(self.sprites)) % len(self.sprites)
        return self.sprites[phase], between(self.x), between(self.y), between(self.heading)


def road_centre(x: float, y: float, heading: float, curvature: float, reach: float) -> Path:
    """An arc (or a straight line) through (x, y) that goes on for `reach` pixels both ways."""
    along = np.arange(-reach, reach + 1.0, 4.0)
    headings = heading + curvature * along
    points = np.stack([np.cumsum(np.cos(headings)), np.cumsum(np.sin(headings))], axis=1) * 4.0
    return Path(points - points[along.size // 2] + (x, y))


class _Vehicle:
    def __init__(self, rng: np.random.Generator, label: str, length: float, width: float, wanted: float) -> None:
        self.label, self.length, self.width, self.wanted = label, length, width, wanted
        self.speed = wanted
        self.wave = (rng.uniform(0.02, 0.08), rng.uniform(0.15, 0.5), rng.uniform(0, 2 * math.pi))
        self.start_step = 0
        self.distances: list[float] = []

    def drive(self, time_s: float, leader: "_Vehicle | None") -> None:
        size, rate, phase = self.wave
        wanted = self.wanted * (1 + size * math.sin(2 * math.pi * rate * time_s + phase))
        acceleration = 1 - (self.speed / wanted) ** 4
        if leader is not None:
            gap = leader.distances[-1] - self.distances[-1] - (leader.length + self.length) / 2
            closing = self.speed * (self.speed - leader.speed) / (2 * math.sqrt(_ACCELERATION * _BRAKING))
            keep = _GAP + max(0.0, self.speed * _HEADWAY_S + closing)
            acceleration -= (keep / max(gap, 1.0)) ** 2
        self.speed = max(0.0, self.speed + _ACCELERATION * max(acceleration, -6.0) * STEP)
        self.distances.append(self.distances[-1] + self.speed * STEP)


def drive_lane(
    rng: np.random.Generator, lane: Path, seconds: float, speed: float, headway_s: float, trucks: float
) -> list[_Vehicle]:
    """Send vehicles along one lane so that none runs into the one ahead.

    Follows the Intelligent Driver Model (Treiber, Hennecke, Helbing 2000). `speed` is the lane's mean in pixels a
    second, `headway_s` the mean time between arrivals, `trucks` the share of trucks. Step 0 is the scene's start; lanes
    are filled beforehand, hence negative start steps.
    """
    warm_steps = int((lane.length / speed + 2) / STEP)
    vehicles: list[_Vehicle] = []
    driving: list[_Vehicle] = []
    due = -warm_steps * STEP + rng.exponential(headway_s)
    waiting: _Vehicle | None = None
    for step in range(-warm_steps, int(seconds / STEP) + 2):
        time_s = step * STEP
        leader = None
        for vehicle in driving:
            vehicle.drive(time_s, leader)
            leader = vehicle
        driving = [vehicle for vehicle in driving if vehicle.distances[-1] < lane.length]
        if waiting is None and time_s >= due:
            wanted = speed * rng.uniform(0.78, 1.25)
            if rng.random() < trucks:
                waiting = _Vehicle(rng, "truck", rng.uniform(96, 148), rng.uniform(37, 46), wanted * 0.85)
            else:
                waiting = _Vehicle(rng, "car", rng.uniform(56, 84), rng.uniform(27, 37), wanted)
        if waiting is None:
            continue
        last = driving[-1] if driving else None
        room = lane.length if last is None else last.distances[-1] - (last.length + waiting.length) / 2
        if room > _GAP + waiting.speed * _HEADWAY_S:
            if last is not None:
                waiting.speed = min(waiting.speed, last.speed * 1.1 + 5)
            waiting.start_step = step
            waiting.distances.append(0.0)
            vehicles.append(waiting)
            driving.append(waiting)
            waiting = None
            due = time_s + rng.exponential(headway_s)
    return vehicles


def vehicles_on(
    rng: np.random.Generator, road: Road, size: tuple[int, int], seconds: float, density: float, even_loads: bool
) -> list[Mover]:
    """Everything that drives on a road, lane by lane; traffic keeps to the right."""
    draw_truck = partial(truck_sprite, even_loads=even_loads)
    movers = []
    road_speed = rng.uniform(70, 190)
    trucks = rng.uniform(0.15, 0.45)
    for lane in range(road.lanes):
        for way in (1, -1):
            path = road.centre if way == 1 else road.centre.reversed()
            across = path.shifted((lane + 0.5) * road.lane_width).across(*size, _ENTRY)
            if across is None:
                continue
            speed = road_speed * rng.uniform(0.8, 1.2) * (1.15 - 0.15 * lane)
            for vehicle in drive_lane(rng, across, seconds, speed, rng.uniform(1.4, 4.5) / density, trucks):
                if len(vehicle.distances) < 2:
                    continue
                distance = np.array(vehicle.distances)
                x, y, heading = across.at(distance)
                slack = max(0.0, (road.lane_width - vehicle.width) / 2 - 3)
                drift = rng.uniform(-0.6, 0.6) * slack + 0.4 * slack * np.sin(distance / 110 + rng.uniform(0, 6.3))
                draw = draw_truck if vehicle.label == "truck" else car_sprite
                movers.append(
                    Mover(
                        vehicle.label,
                        road.level,
                        [draw(rng, vehicle.length, vehicle.width)],
                        vehicle.start_step * STEP,
                        x - drift * np.sin(heading),
                        y + drift * np.cos(heading),
                        heading,
                        distance,
                    )
                )
    return movers


def _edge_point(rng: np.random.Generator, size: tuple[int, int], edge: int) -> tuple[float, float]:
    width, height = size
    share = rng.uniform(0.06, 0.94)
    return (
        (share * width, -_WALKER_ENTRY),
        (width + _WALKER_ENTRY, share * height),
        (share * width, height + _WALKER_ENTRY),
        (-_WALKER_ENTRY, share * height),
    )[edge]


def _walk(rng: np.random.Generator, roads: list[Road], size: tuple[int, int]) -> Path | None:
    """A way on foot from one picture edge to another: along a pavement, over a crossing or free."""
    ground = [road for road in roads if road.level == 0]
    choice = rng.random()
    if ground and choice < 0.62:
        road = ground[rng.integers(len(ground))]
        side = rng.choice([-1, 1]) * (road.half_width + road.pavement * rng.uniform(0.2, 0.8))
        path = road.centre.shifted(float(side))
        return (path if rng.random() < 0.5 else path.reversed()).across(*size, _WALKER_ENTRY)
    crossings = [(road, distance) for road in ground for distance in road.crossings]
    if crossings and choice < 0.80:
        road, distance = crossings[rng.integers(len(crossings))]
        x, y, heading = road.centre.at(np.array([distance + rng.uniform(-14, 14)]))
        reach = float(np.hypot(*size))
        turned = float(heading[0]) + math.pi / 2 * float(rng.choice([-1, 1]))
        return road_centre(float(x[0]), float(y[0]), turned, 0.0, reach).across(*size, _WALKER_ENTRY)
    first, second = (int(edge) for edge in rng.choice(4, 2, replace=False))
    start, end = np.array(_edge_point(rng, size, first)), np.array(_edge_point(rng, size, second))
    share = np.linspace(0, 1, 120)[:, None]
    sideways = np.array([start[1] - end[1], end[0] - start[0]]) * rng.uniform(-0.08, 0.08)
    return Path(start + (end - start) * share + sideways * np.sin(math.pi * share))


def _is_clear(walker: Mover, vehicles: list[Mover], seconds: float) -> bool:
    """Whether no vehicle on the ground comes near the walker (five looks a second)."""
    for time_s in np.arange(max(0.0, walker.start_s), seconds, 0.2):
        walking = walker.pose(float(time_s))
        if walking is None:
            continue
        for vehicle in vehicles:
            driving = vehicle.pose(float(time_s))
            if driving is None:
                continue
            sprite, x, y, heading = driving
            dx, dy = walking[1] - x, walking[2] - y
            ahead = abs(dx * math.cos(heading) + dy * math.sin(heading))
            aside = abs(dy * math.cos(heading) - dx * math.sin(heading))
            if ahead < sprite.length / 2 + 16 and aside < sprite.width / 2 + 9:
                return False
    return True


def walkers(
    rng: np.random.Generator,
    roads: list[Road],
    vehicles: list[Mover],
    size: tuple[int, int],
    seconds: float,
    count: int,
) -> list[Mover]:
    """Up to `count` people who walk through the picture without stepping in front of a vehicle."""
    ground = [vehicle for vehicle in vehicles if vehicle.level == 0]
    people: list[Mover] = []
    for _ in range(count * 4):
        if len(people) == count:
            break
        path = _walk(rng, roads, size)
        if path is None:
            continue
        speed = rng.uniform(20, 46) if rng.random() < 0.85 else rng.uniform(46, 75)
        needed = path.length / speed
        start_step = int(rng.uniform(-needed * 0.95, max(seconds - 1, 0.1)) / STEP)
        steps = np.arange(0, needed, STEP)
        pace = speed * (1 + 0.05 * np.sin(steps * rng.uniform(0.3, 1.2) + rng.uniform(0, 6.3)))
        distance = np.minimum(np.cumsum(pace) * STEP, path.length)
        x, y, heading = path.at(distance)
        sprites = person_sprites(rng, rng.uniform(19, 25))
        walker = Mover("person", 0, sprites, start_step * STEP, x, y, heading, distance)
        if _is_clear(walker, ground, seconds):
            people.append(walker)
    return people
