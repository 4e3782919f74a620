"""Tone mapping: converts HDR (PQ and HLG) and wide gamuts to sRGB.

Sources: SMPTE ST 2084 (PQ), ITU-R BT.2100 (HLG and its system gamma), BT.2390-11 (the roll-off of highlights), BT.2408
(203 nits is the white of graphics). The mapping becomes one three-dimensional table that FFmpeg's ``lut3d`` applies.
"""

from dataclasses import dataclass
from enum import Enum, auto
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

WHITE_NITS = 203.0
_PEAK_NITS = 1000.0
_TABLE_SIZE = 65
_FORMAT = "gbrp12le"

# Values of ITU-T H.273.
_PRIMARIES_BT2020, _PRIMARIES_P3 = 9, 12
_TO_BT709 = {
    _PRIMARIES_BT2020: np.array(
        [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
    ),
    _PRIMARIES_P3: np.array([[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]]),
}


class Transfer(Enum):
    """The transfer function: maps coded values to light."""

    PQ = auto()
    HLG = auto()
    SDR = auto()


_TRANSFERS = {16: Transfer.PQ, 18: Transfer.HLG}


@dataclass(frozen=True, slots=True)
class ColourSpace:
    """What a picture is coded in that needs mapping; ``primaries`` is a value of ITU-T H.273."""

    transfer: Transfer
    primaries: int

    @classmethod
    def of(cls, frame: VideoFrame) -> "ColourSpace | None":
        """``None`` for colours that an sRGB display shows without a mapping."""
        primaries = int(frame.color_primaries)
        transfer = _TRANSFERS.get(int(frame.color_trc), Transfer.SDR)
        if primaries in _TO_BT709:
            return cls(transfer, primaries)
        return None if transfer is Transfer.SDR else cls(transfer, _PRIMARIES_BT2020)


def to_srgb(coded: Floats, space: ColourSpace) -> Floats:
    """sRGB (0..1) for ``coded`` R'G'B' values (0..1); both n × 3."""
    to_bt709 = _TO_BT709[space.primaries].T
    if space.transfer is Transfer.SDR:
        return np.asarray(np.clip(coded**2.4 @ to_bt709, 0.0, 1.0) ** (1 / 2.4))
    nits = _from_pq(coded) if space.transfer is Transfer.PQ else _from_hlg(coded)
    # The brightest channel decides for all three, so that colours keep their hue.
    brightest = np.maximum(nits.max(axis=1, keepdims=True), 1e-6)
    shown = nits * (_rolled_off(brightest) / brightest)
    return _encoded(np.clip(shown / WHITE_NITS @ to_bt709, 0.0, 1.0))


class ToneMapping:
    """Maps frames of one size and one colour space. Not for several threads at once."""

    def __init__(self, space: ColourSpace, width: int, height: int) -> None:
        self._graph = Graph()
        kind = VideoFormat(_FORMAT, width, height)
        source = self._graph.add_buffer(width=width, height=height, format=kind, time_base=Fraction(1, 25))
        with TemporaryDirectory() as folder:
            path = Path(folder) / "table.cube"
            path.write_text(_table(space))
            table = self._graph.add("lut3d", file=str(path), interp="tetrahedral")
        sink = self._graph.add("buffersink")
        source.link_to(table)
        table.link_to(sink)
        self._graph.configure()

    def apply(self, frame: VideoFrame) -> VideoFrame:
        """``frame`` as sRGB, 12 bits a channel; its size must be the one announced."""
        coded = frame.reformat(format=_FORMAT)
        coded.pts = None
        self._graph.vpush(coded)
        return self._graph.vpull()


@lru_cache(maxsize=4)
def _table(space: ColourSpace) -> str:
    """The mapping in the ``.cube`` format: red changes fastest."""
    axis = np.linspace(0.0, 1.0, _TABLE_SIZE)
    blues, greens, reds = np.meshgrid(axis, axis, axis, indexing="ij")
    coded = np.stack([reds.ravel(), greens.ravel(), blues.ravel()], axis=1)
    lines = (f"{red:.5f} {green:.5f} {blue:.5f}" for red, green, blue in to_srgb(coded, space).tolist())
    return "\n".join([f"LUT_3D_SIZE {_TABLE_SIZE}", *lines, ""])


def _from_pq(coded: Floats) -> Floats:
    """ST 2084: nits for values 0..1."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = coded ** (1 / m2)
    return np.asarray(10_000.0 * (np.maximum(root - c1, 0.0) / (c2 - c3 * root)) ** (1 / m1))


def _to_pq(nits: Floats) -> Floats:
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (nits / 10_000.0) ** m1
    return np.asarray(((c1 + c2 * power) / (1 + c3 * power)) ** m2)


def _from_hlg(coded: Floats) -> Floats:
    """BT.2100: nits on a display of 1000, whose system gamma is 1.2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    luminance = np.maximum(scene @ np.array([[0.2627], [0.6780], [0.0593]]), 1e-9)
    return np.asarray(_PEAK_NITS * luminance**0.2 * scene)


def _rolled_off(nits: Floats) -> Floats:
    """BT.2390 5.4.1: what a display of `WHITE_NITS` shows; unchanged up to the knee, bent smoothly above it."""
    peak = float(_to_pq(np.array(_PEAK_NITS)))
    top = float(_to_pq(np.array(WHITE_NITS))) / peak
    knee = 1.5 * top - 0.5
    value = np.minimum(_to_pq(nits) / peak, 1.0)
    t = np.maximum(value - knee, 0.0) / (1 - knee)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * top
    return _from_pq(np.where(value < knee, value, bent) * peak)


def _encoded(linear: Floats) -> Floats:
    """IEC 61966-2-1."""
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))
