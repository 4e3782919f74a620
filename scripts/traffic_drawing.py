"""Sprites of cars, trucks and people seen from above, and how they are stamped onto a picture.

A sprite is drawn at four times its size, heading along +x, with anti-aliased edges, and is halved once; stamping it
turns, moves and halves it again. Lengths are picture pixels and angles radians (clockwise, as y points down).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
Picture = NDArray[np.uint8]

DRAWN_SCALE = 4
SPRITE_SCALE = 2
MARGIN = 4.0
GAIT_PHASES = 8
_SHIFT = 4

CAR_COLOURS: tuple[Colour, ...] = (
    (235, 235, 235), (205, 205, 200), (150, 150, 150), (90, 90, 92), (38, 36, 36), (40, 40, 190), (30, 60, 140),
    (170, 80, 30), (210, 140, 60), (70, 120, 40), (60, 190, 225), (40, 120, 225), (130, 60, 110), (170, 190, 200),
)  # fmt: skip
BOX_COLOURS: tuple[Colour, ...] = (
    (240, 240, 240), (225, 225, 215), (180, 180, 180), (60, 60, 190), (175, 95, 40), (70, 140, 60), (60, 180, 230),
    (110, 120, 130), (50, 110, 210),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = (
    (40, 40, 45), (230, 230, 230), (50, 50, 200), (190, 90, 40), (80, 160, 60), (60, 200, 235), (150, 70, 140),
    (120, 120, 125), (60, 120, 230), (200, 180, 90), (70, 60, 110), (170, 200, 220),
)  # fmt: skip
HAIR: tuple[Colour, ...] = ((25, 25, 30), (40, 60, 90), (60, 110, 170), (150, 160, 170), (40, 50, 150), (235, 235, 240))
_GLASS: Colour = (58, 48, 40)
_DARK: Colour = (34, 33, 32)


@dataclass(frozen=True, eq=False)
class Sprite:
    """One drawn road user: `image` is BGRA at `SPRITE_SCALE` pixels a unit, `hull` its outline around the centre.

    `hull` has shape (points, 2) in picture pixels; `length` and `width` are the nominal size along and across it.
    """

    image: Picture
    hull: NDArray[np.float64]
    length: float
    width: float

    @cached_property
    def radius(self) -> float:
        """Distance from the centre to the farthest point of the outline, in pixels."""
        return float(np.hypot(self.hull[:, 0], self.hull[:, 1]).max())

    def box(self, x: float, y: float, heading: float) -> tuple[float, float, float, float]:
        """Exact bounding box, xyxy in picture pixels, of the sprite centred at (x, y); may reach out of the picture."""
        cos, sin = math.cos(heading), math.sin(heading)
        xs = self.hull[:, 0] * cos - self.hull[:, 1] * sin + x
        ys = self.hull[:, 0] * sin + self.hull[:, 1] * cos + y
        return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())


@dataclass(frozen=True, eq=False)
class Stamp:
    """A sprite turned and moved to its place: BGRA `image` whose top left pixel is (left, top) of the picture."""

    image: Picture
    left: int
    top: int

    def within(self, width: int, height: int, dx: int = 0, dy: int = 0) -> tuple[tuple[slice, slice], Picture] | None:
        """The part that falls into a picture after a shift: index of the picture and cut stamp, None if outside."""
        left, top = self.left + dx, self.top + dy
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + self.image.shape[1], width), min(top + self.image.shape[0], height)
        if x0 >= x1 or y0 >= y1:
            return None
        return (slice(y0, y1), slice(x0, x1)), self.image[y0 - top : y1 - top, x0 - left : x1 - left]


def stamp(sprite: Sprite, x: float, y: float, heading: float) -> Stamp:
    """Turn the sprite to its heading (radians) and place its centre at (x, y), picture pixels."""
    reach = sprite.radius + 2
    left, top = math.floor(x - reach), math.floor(y - reach)
    side = math.ceil(2 * reach) + 2
    cos, sin = math.cos(heading) / SPRITE_SCALE, math.sin(heading) / SPRITE_SCALE
    height, width = sprite.image.shape[:2]
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array(
        [
            [cos, -sin, x - left - 0.5 - cos * centre_x + sin * centre_y],
            [sin, cos, y - top - 0.5 - sin * centre_x - cos * centre_y],
        ]
    )
    turned = cv2.warpAffine(sprite.image, matrix, (side, side), flags=cv2.INTER_LINEAR)
    return Stamp(np.asarray(turned, np.uint8), left, top)


def blend(picture: Picture, image: Picture, alpha: Picture) -> None:
    """Lay `image` (H, W, 3) over `picture` in place; `alpha` (H, W) is 0..255."""
    weight = alpha[..., None].astype(np.uint16)
    mixed = picture.astype(np.uint16) * (255 - weight) + image.astype(np.uint16) * weight
    picture[:] = ((mixed + 127) // 255).astype(np.uint8)


class Pen:
    """Draws one sprite around the origin; the drawn parts together make up its outline."""

    def __init__(self, length: float, width: float, colour: Colour) -> None:
        self._length, self._width = length, width
        columns = 2 * math.ceil(length / 2 + MARGIN) * DRAWN_SCALE
        rows = 2 * math.ceil(width / 2 + MARGIN) * DRAWN_SCALE
        self._image: Picture = np.full((rows, columns, 3), colour, np.uint8)
        self._mask: Picture = np.zeros((rows, columns), np.uint8)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Fill a convex polygon given in pixels around the origin."""
        rows, columns = self._mask.shape
        scaled = np.array(points) * DRAWN_SCALE + (columns / 2 - 0.5, rows / 2 - 0.5)
        fixed = np.round(scaled * (1 << _SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(self._image, fixed, colour, cv2.LINE_AA, _SHIFT)
        cv2.fillConvexPoly(self._mask, fixed, 255, cv2.LINE_AA, _SHIFT)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, radius: float = 0.0) -> None:
        """Fill a box with rounded corners."""
        radius = min(radius, (x1 - x0) / 2, (y1 - y0) / 2)
        corners = ((x1, y1, 0.0), (x0, y1, 90.0), (x0, y0, 180.0), (x1, y0, 270.0))
        points = []
        for corner_x, corner_y, start in corners:
            centre_x = corner_x - radius if corner_x == x1 else corner_x + radius
            centre_y = corner_y - radius if corner_y == y1 else corner_y + radius
            for step in range(5):
                angle = math.radians(start + 22.5 * step)
                points.append((centre_x + radius * math.cos(angle), centre_y + radius * math.sin(angle)))
        self.polygon(points, colour)

    def ellipse(self, x: float, y: float, half_x: float, half_y: float, colour: Colour) -> None:
        """Fill an ellipse with half axes along x and y."""
        turns = (2 * math.pi * step / 24 for step in range(24))
        self.polygon([(x + half_x * math.cos(turn), y + half_y * math.sin(turn)) for turn in turns], colour)

    def sprite(self) -> Sprite:
        """Finish: the outline is taken at full drawing scale, the image is halved."""
        rows, columns = self._mask.shape
        contours, _ = cv2.findContours((self._mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        pixels = np.concatenate(contours)[:, 0, :].astype(np.float32)
        corners = np.concatenate([pixels + offset for offset in ((0, 0), (1, 0), (0, 1), (1, 1))]).astype(np.float32)
        hull = (cv2.convexHull(corners)[:, 0, :].astype(np.float64) - (columns / 2, rows / 2)) / DRAWN_SCALE
        size = (columns * SPRITE_SCALE // DRAWN_SCALE, rows * SPRITE_SCALE // DRAWN_SCALE)
        image = cv2.resize(np.dstack([self._image, self._mask]), size, interpolation=cv2.INTER_AREA)
        return Sprite(np.asarray(image, np.uint8), hull, self._length, self._width)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (below 1) or lighter (above 1)."""
    blue, green, red = (int(min(max(channel * factor + (factor > 1) * 12, 0), 255)) for channel in colour)
    return blue, green, red


def pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """One colour of a palette with a slight variation."""
    blue, green, red = colours[rng.integers(len(colours))]
    jitter = rng.integers(-14, 15, 3)
    return (
        int(np.clip(blue + jitter[0], 8, 250)),
        int(np.clip(green + jitter[1], 8, 250)),
        int(np.clip(red + jitter[2], 8, 250)),
    )


def car_sprite(rng: np.random.Generator, length: float, width: float) -> Sprite:
    """A car of the given size: bonnet, glass, roof, lamps, mirrors."""
    colour = pick(rng, CAR_COLOURS)
    pen = Pen(length, width, colour)
    half, side = length / 2, width / 2
    mirror = half * rng.uniform(0.22, 0.34)
    pen.box(mirror - 2.0, -side - 1.6, mirror + 1.2, side + 1.6, shade(colour, 0.6), 1.0)
    pen.box(-half, -side, half, side, shade(colour, 0.8), width * 0.26)
    pen.box(-half + 1.0, -side + 1.8, half - 1.0, side - 1.8, colour, width * 0.22)
    rear = rng.choice([-0.94, -0.78, -0.64])
    front = rng.uniform(0.30, 0.46)
    pen.box(half * rear, -side * 0.82, half * front, side * 0.82, _GLASS, width * 0.16)
    roof_rear, roof_front = half * (rear + 0.20), half * (front - 0.30)
    pen.box(roof_rear, -side * 0.70, roof_front, side * 0.70, shade(colour, 1.06), width * 0.1)
    extra = rng.random()
    if extra < 0.15:
        pen.box(roof_front - length * 0.14, -side * 0.45, roof_front - length * 0.03, side * 0.45, _DARK, 1.5)
    elif extra < 0.25:
        pen.box(-2.0, -side * 0.32, 2.5, side * 0.32, (40, 200, 240), 1.0)
    elif extra < 0.35:
        for rail in (-0.5, 0.5):
            pen.box(roof_rear + 2, side * rail - 0.8, roof_front - 2, side * rail + 0.8, _DARK)
    for lamp in (-1, 1):
        inner, outer = sorted((lamp * side * 0.42, lamp * side * 0.84))
        pen.box(half - 3.2, inner, half - 0.8, outer, (215, 240, 245), 0.8)
        pen.box(-half + 0.6, inner, -half + 2.6, outer, (35, 30, 190), 0.8)
    return pen.sprite()


def truck_sprite(rng: np.random.Generator, length: float, width: float, *, even_loads: bool = False) -> Sprite:
    """A truck of the given size: a cab in front of a long box, a tank or a flat bed with crates.

    Most have a box, unless `even_loads`: then each load is as frequent as the others.
    """
    tanks, beds = (1 / 3, 1 / 3) if even_loads else (0.18, 0.16)
    cab_colour, load_colour = pick(rng, CAR_COLOURS), pick(rng, BOX_COLOURS)
    pen = Pen(length, width, load_colour)
    half, side = length / 2, width / 2
    cab_rear = half - rng.uniform(25, 31)
    load_front = cab_rear - rng.uniform(3, 6)
    pen.box(-half + 2, -side * 0.55, cab_rear + 3, side * 0.55, _DARK)
    pen.box(half - 9, -side - 1.8, half - 6, side + 1.8, _DARK, 0.8)
    pen.box(cab_rear, -side * 0.92, half, side * 0.92, shade(cab_colour, 0.8), 5.0)
    pen.box(cab_rear + 1, -side * 0.84, half - 1, side * 0.84, cab_colour, 4.0)
    pen.box(half - 8, -side * 0.76, half - 3, side * 0.76, _GLASS, 2.0)
    pen.box(cab_rear + 2.5, -side * 0.5, half - 12, side * 0.5, shade(cab_colour, 1.12), 2.0)
    kind = rng.random()
    if kind < tanks:
        pen.box(-half, -side * 0.9, load_front, side * 0.9, shade(load_colour, 0.72), width * 0.4)
        pen.box(-half + 3, -side * 0.55, load_front - 3, side * 0.55, load_colour, width * 0.25)
        pen.box(-half + 6, -side * 0.16, load_front - 6, side * 0.16, shade(load_colour, 1.15), 2.0)
        for hatch in np.linspace(-half + 14, load_front - 14, 3):
            pen.ellipse(float(hatch), 0.0, 3.4, 3.4, _DARK)
        return pen.sprite()
    pen.box(-half, -side, load_front, side, shade(load_colour, 0.75), 1.5)
    if kind < tanks + beds:
        pen.box(-half + 2, -side + 2, load_front - 2, side - 2, (70, 95, 120), 0.5)
        edge = -half + 5
        while edge + 14 < load_front:
            crate = rng.uniform(10, 20)
            pen.box(edge, -side * 0.78, min(edge + crate, load_front - 4), side * 0.78, pick(rng, BOX_COLOURS), 1.0)
            edge += crate + 3
        return pen.sprite()
    pen.box(-half + 1.2, -side + 1.6, load_front - 1.2, side - 1.6, load_colour, 1.0)
    ribs = int(rng.integers(3, 9))
    for rib in np.linspace(-half + 6, load_front - 6, ribs):
        pen.box(float(rib) - 0.5, -side + 2, float(rib) + 0.5, side - 2, shade(load_colour, 0.86))
    if rng.random() < 0.4:
        stripe = pick(rng, BOX_COLOURS)
        pen.box(-half + 8, -side * 0.3, load_front - 8, side * 0.3, stripe, 1.0)
    return pen.sprite()


def person_sprites(rng: np.random.Generator, shoulders: float) -> list[Sprite]:
    """A walking person, one sprite for each of the `GAIT_PHASES` of a stride; `shoulders` is the width in pixels."""
    coat, trousers = pick(rng, CLOTHES), pick(rng, CLOTHES)
    hair, skin = pick(rng, HAIR), (120, 150, 200) if rng.random() < 0.6 else (60, 80, 120)
    backpack = pick(rng, CLOTHES) if rng.random() < 0.25 else None
    stride = rng.uniform(0.22, 0.34)
    size = shoulders
    sprites = []
    for phase in range(GAIT_PHASES):
        swing = math.sin(2 * math.pi * phase / GAIT_PHASES) * stride * size
        pen = Pen(size * 1.3, size, trousers)
        for side in (-1, 1):
            pen.ellipse(side * swing, side * size * 0.15, size * 0.22, size * 0.10, trousers)
            pen.ellipse(side * swing + size * 0.14, side * size * 0.15, size * 0.10, size * 0.08, _DARK)
            pen.ellipse(-side * swing * 0.8, side * size * 0.41, size * 0.20, size * 0.085, shade(coat, 0.75))
            pen.ellipse(-side * swing * 0.8 + size * 0.18, side * size * 0.41, size * 0.07, size * 0.07, skin)
        pen.ellipse(0.0, 0.0, size * 0.23, size * 0.48, shade(coat, 0.8))
        pen.ellipse(0.0, 0.0, size * 0.17, size * 0.41, coat)
        if backpack:
            pen.box(-size * 0.36, -size * 0.2, -size * 0.1, size * 0.2, backpack, size * 0.08)
        pen.ellipse(size * 0.06, 0.0, size * 0.20, size * 0.19, skin)
        pen.ellipse(size * 0.02, 0.0, size * 0.19, size * 0.19, hair)
        sprites.append(pen.sprite())
    return sprites
