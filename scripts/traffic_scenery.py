"""Grounds, roads, light and what hangs above the road in a synthetic top-down scene.

A scenery is drawn once for each scene; all pictures are BGR `uint8` of the scene's size, masks are 0..255.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.traffic_drawing import Colour, Picture, blend, shade
from scripts.traffic_motion import Road

_SHIFT = 4
_GROUNDS: tuple[tuple[Colour, float, float], ...] = (
    ((78, 78, 80), 7, 5),
    ((62, 112, 84), 15, 9),
    ((70, 130, 112), 16, 10),
    ((168, 172, 174), 8, 4),
    ((132, 140, 146), 9, 5),
    ((104, 134, 160), 12, 7),
    ((112, 108, 104), 8, 6),
)
_LEAVES: tuple[Colour, ...] = ((40, 92, 52), (52, 112, 74), (36, 76, 60), (60, 120, 120), (48, 100, 40))
_MARKING: Colour = (215, 220, 222)


@dataclass(frozen=True, eq=False)
class Layer:
    """A picture with a mask of where it covers what lies below."""

    image: Picture
    mask: Picture


@dataclass(frozen=True, eq=False)
class Scenery:
    """All that stands still: ground, flyover deck, things overhead, light.

    `light` is (H, W, 3) float32, multiplied onto the finished picture; `shadow` is the shift of a unit of height in
    pixels and `shadow_depth` how dark it is, 0..1; `noise` is a signed field larger than the picture.
    """

    ground: Picture
    deck: Layer | None
    overhead: Layer
    light: NDArray[np.float32]
    shadow: tuple[float, float]
    shadow_depth: float
    noise: NDArray[np.int8]


def texture(rng: np.random.Generator, size: tuple[int, int], colour: Colour, contrast: float, grain: float) -> Picture:
    """A noisy surface: smooth blotches at three scales (`contrast`) and a fine `grain`, both in grey levels."""
    width, height = size
    field = rng.normal(0, grain, (height, width)).astype(np.float32)
    for cells in (5, 18, 70):
        coarse = rng.normal(0, contrast / 2, (cells * height // width + 2, cells)).astype(np.float32)
        field += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return np.clip(field[..., None] + np.array(colour, np.float32), 0, 255).astype(np.uint8)


def _fill(mask: Picture, points: NDArray[np.float64], value: int = 255) -> None:
    cv2.fillPoly(mask, [np.round(points * (1 << _SHIFT)).astype(np.int32)], value, cv2.LINE_AA, _SHIFT)


def _soft(mask: Picture, sigma: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), np.uint8)


def _strip(road: Road, low: float, high: float, start: float = 0.0, end: float | None = None) -> NDArray[np.float64]:
    """Outline of the strip between two offsets from the centre line, and two distances along it."""
    along = np.linspace(start, road.centre.length if end is None else end, 80 if end is None else 6)
    x, y, heading = road.centre.at(along)
    normal = np.stack([-np.sin(heading), np.cos(heading)], axis=1)
    centre = np.stack([x, y], axis=1)
    return np.concatenate([centre + low * normal, (centre + high * normal)[::-1]])


def _paint(picture: Picture, outline: NDArray[np.float64], colour: Colour, opacity: float = 1.0) -> None:
    mask = np.zeros(picture.shape[:2], np.uint8)
    _fill(mask, outline, int(255 * opacity))
    x, y, width, height = cv2.boundingRect(mask)
    part = (slice(y, y + height), slice(x, x + width))
    blend(picture[part], np.full((height, width, 3), colour, np.uint8), mask[part])


def _blob(rng: np.random.Generator, x: float, y: float, radius: float) -> NDArray[np.float64]:
    turns = np.linspace(0, 2 * math.pi, 28, endpoint=False)
    bumps = 1 + 0.22 * np.interp(turns, np.linspace(0, 2 * math.pi, 9), np.resize(rng.uniform(-1, 1, 8), 9))
    return np.stack([x + radius * bumps * np.cos(turns), y + radius * bumps * np.sin(turns)], axis=1)


def _slabs(rng: np.random.Generator, picture: Picture, mask: Picture) -> None:
    """Joints of paving slabs where the mask is set."""
    joints = np.zeros(picture.shape[:2], np.uint8)
    pitch = int(rng.integers(9, 26))
    joints[::pitch, :] = 70
    joints[:, ::pitch] = 70
    blend(picture, np.full_like(picture, 60), np.minimum(joints, mask))


def _clutter(rng: np.random.Generator, picture: Picture, size: tuple[int, int]) -> None:
    """Things on the ground that are not objects to detect: bushes, roofs, benches, stains."""
    width, height = size
    for _ in range(int(rng.integers(3, 14))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        kind = rng.random()
        if kind < 0.45:
            colour = _LEAVES[rng.integers(len(_LEAVES))]
            for _ in range(int(rng.integers(1, 6))):
                spot = rng.normal(0, 12, 2)
                leaf = _blob(rng, x + spot[0], y + spot[1], rng.uniform(6, 18))
                _paint(picture, leaf, shade(colour, rng.uniform(0.7, 1.2)))
        elif kind < 0.70:
            level = int(rng.uniform(40, 190))
            half = np.array([rng.uniform(4, 70), rng.uniform(3, 45)])
            angle = rng.uniform(0, math.pi)
            turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
            _paint(picture, corners @ turn + (x, y), (level, level, min(level + int(rng.integers(0, 50)), 255)), 0.9)
        else:
            _paint(picture, _blob(rng, x, y, rng.uniform(8, 60)), (50, 52, 54), rng.uniform(0.1, 0.4))


def _markings(rng: np.random.Generator, picture: Picture, road: Road) -> None:
    worn = rng.uniform(0.45, 0.95)
    edge = road.half_width - 3
    for side in (-1, 1):
        _paint(picture, _strip(road, side * edge - 1.1, side * edge + 1.1), _MARKING, worn)
    middle: Colour = (90, 200, 225) if rng.random() < 0.35 else _MARKING
    dash, pause = rng.uniform(16, 34), rng.uniform(16, 34)
    lines = [lane * road.lane_width for lane in range(1 - road.lanes, road.lanes)]
    for line in lines:
        if line == 0 and road.lanes > 1:
            for pair in (-2.6, 2.6):
                _paint(picture, _strip(road, pair - 1.0, pair + 1.0), middle, worn)
            continue
        for start in np.arange(0, road.centre.length, dash + pause):
            outline = _strip(road, line - 1.1, line + 1.1, start, start + dash)
            if (outline.max(axis=0) > 0).all() and (outline.min(axis=0) < picture.shape[1::-1]).all():
                _paint(picture, outline, middle if line == 0 else _MARKING, worn)
    for crossing in road.crossings:
        for bar in np.arange(-road.half_width + 4, road.half_width - 8, 15):
            _paint(picture, _strip(road, bar, bar + 8, crossing - 19, crossing + 19), _MARKING, worn)


def _lay_road(rng: np.random.Generator, picture: Picture, road: Road, size: tuple[int, int]) -> Picture:
    """Paint a road and its pavements; returns the mask of the whole strip."""
    level = int(rng.uniform(52, 128))
    mask = np.zeros(picture.shape[:2], np.uint8)
    whole = road.half_width + road.pavement
    _fill(mask, _strip(road, -whole, whole))
    light = int(rng.uniform(120, 190))
    paving = texture(rng, size, (light, light, light), 6, 4)
    if rng.random() < 0.6:
        _slabs(rng, paving, np.full_like(mask, 255))
    blend(picture, paving, mask)
    lanes = np.zeros_like(mask)
    _fill(lanes, _strip(road, -road.half_width, road.half_width))
    blend(picture, texture(rng, size, (level, level, level + 2), rng.uniform(3, 9), rng.uniform(2, 6)), lanes)
    for side in (-1, 1):
        kerb = side * road.half_width
        _paint(picture, _strip(road, kerb - 1.2, kerb + 1.2), (175, 178, 180), 0.8)
        for lane in range(road.lanes):
            wheel = side * (lane + 0.5) * road.lane_width
            _paint(picture, _strip(road, wheel - 14, wheel + 14), (40, 40, 40), rng.uniform(0.0, 0.16))
    _markings(rng, picture, road)
    return mask


def _overhead(rng: np.random.Generator, size: tuple[int, int], roads: list[Road]) -> Layer:
    """Tree crowns, sign gantries and footbridges that road users pass under."""
    width, height = size
    image = texture(rng, size, (40, 90, 50), 10, 8)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.choice([0, 1, 2, 3, 4], p=[0.2, 0.25, 0.25, 0.2, 0.1]))):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(20, 46)
        colour = _LEAVES[rng.integers(len(_LEAVES))]
        for _ in range(14):
            turn, share = rng.uniform(0, 2 * math.pi), math.sqrt(rng.random())
            spot = (x + math.cos(turn) * share * radius * 0.7, y + math.sin(turn) * share * radius * 0.7)
            leaf = _blob(rng, *spot, radius * rng.uniform(0.22, 0.42))
            _paint(image, leaf, shade(colour, rng.uniform(0.6, 1.3)))
            _fill(mask, leaf)
    top = max((road.level for road in roads), default=0)
    for road in roads:
        if road.level == top and rng.random() < 0.45:
            at = road.centre.length / 2 + rng.uniform(-200, 200)
            thick = float(rng.choice([6.0, 9.0, 30.0], p=[0.4, 0.35, 0.25]))
            reach = road.half_width + road.pavement + (60 if thick == 30 else 0)
            outline = _strip(road, -reach, reach, at, at + thick)
            _paint(image, outline, (150, 152, 155) if thick > 20 else (95, 98, 100))
            _paint(image, _strip(road, -reach, reach, at + 1.5, at + thick - 1.5), (170, 172, 172), 0.8)
            _fill(mask, outline)
            if thick < 20:
                lane = rng.uniform(-0.6, 0.2) * road.half_width
                panel = _strip(road, lane, lane + rng.uniform(30, 60), at - 7, at + thick + 7)
                _paint(image, panel, ((150, 90, 30), (70, 120, 30), (120, 120, 125))[rng.integers(3)])
                _fill(mask, panel)
    return Layer(image, mask)


def _light(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    width, height = size
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    turn = rng.uniform(0, 2 * math.pi)
    field = 1 + rng.uniform(0, 0.14) * (x * math.cos(turn) + y * math.sin(turn))
    field -= rng.uniform(0, 0.16) * (x**2 + y**2)
    if rng.random() < 0.45:
        cast = np.zeros((height, width), np.uint8)
        turn = rng.uniform(0, math.pi)
        side = np.array([[-1, 0], [1, 0], [1, 1], [-1, 1]]) * (1000, rng.uniform(60, 240))
        rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        _fill(cast, side @ rotation + rng.uniform(0, 1, 2) * size)
        field *= 1 - rng.uniform(0.15, 0.45) / 255 * _soft(cast, rng.uniform(1, 8))
    brightness = rng.uniform(0.62, 1.2)
    tint = 1 + rng.uniform(-0.07, 0.07, 3)
    return (field[..., None] * brightness * tint).astype(np.float32)


def draw_scenery(rng: np.random.Generator, size: tuple[int, int], roads: list[Road]) -> Scenery:
    """Draw all that stands still in a scene of `size` (width, height) pixels."""
    width, height = size
    colour, contrast, grain = _GROUNDS[rng.integers(len(_GROUNDS))]
    ground = texture(rng, size, shade(colour, rng.uniform(0.8, 1.15)), contrast, grain)
    for _ in range(int(rng.integers(0, 4))):
        colour, contrast, grain = _GROUNDS[rng.integers(len(_GROUNDS))]
        patch = np.zeros((height, width), np.uint8)
        _fill(patch, _blob(rng, rng.uniform(0, width), rng.uniform(0, height), rng.uniform(60, 220)))
        blend(ground, texture(rng, size, colour, contrast, grain), _soft(patch, 3))
    if rng.random() < 0.25:
        _slabs(rng, ground, np.full((height, width), 255, np.uint8))
    _clutter(rng, ground, size)
    deck = None
    turn, slant = rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 1.0)
    shadow = (math.cos(turn) * slant, math.sin(turn) * slant)
    depth = rng.uniform(0.15, 0.55)
    for road in roads:
        if road.level == 0:
            _lay_road(rng, ground, road, size)
            continue
        image = ground.copy()
        mask = _lay_road(rng, image, road, size)
        deck = Layer(image, mask)
        move = np.array([[1, 0, shadow[0] * 16], [0, 1, shadow[1] * 16]])
        cast = _soft(np.asarray(cv2.warpAffine(mask, move, size), np.uint8), 2)
        blend(ground, np.zeros_like(ground), (cast * (depth * 0.8)).astype(np.uint8))
    strength = rng.uniform(0.8, 4.0)
    noise = np.clip(rng.normal(0, strength, (height + 64, width + 64, 3)), -20, 20).astype(np.int8)
    return Scenery(ground, deck, _overhead(rng, size, roads), _light(rng, size), shadow, depth, noise)
