"""Videos of plain patches whose colours are known exactly: coded by the formulas of the standards, not by a converter.

Sources: ITU-R BT.601, BT.709, BT.2020 (matrices and ranges), SMPTE ST 2084 (PQ), BT.2100 (HLG).
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
PATCH = 48
_LUMA = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593)}


@dataclass(frozen=True, slots=True)
class Coding:
    """Names are those of x264; ``matrix`` says how it is coded and ``tagged`` whether the file tells."""

    matrix: str = "bt709"
    transfer: str = "bt709"
    primaries: str = "bt709"
    full_range: bool = False
    bits: int = 8
    chroma: str = "420"
    tagged: bool = True
    height: int = PATCH

    @property
    def pixel_format(self) -> str:
        return f"yuv{self.chroma}p" + ("" if self.bits == 8 else f"{self.bits}le")

    @property
    def parameters(self) -> str:
        if not self.tagged:
            return "qp=0" if self.bits == 8 else "qp=4"
        return (
            f"qp=4:colormatrix={self.matrix}:transfer={self.transfer}:colorprim={self.primaries}:"
            f"fullrange={'on' if self.full_range else 'off'}"
        )


def patches(colours: Sequence[Colour], coding: Coding) -> bytes:
    """Two frames of patches side by side, each of one of the R'G'B' ``colours`` (0..1)."""
    target = io.BytesIO()
    width = PATCH * len(colours)
    codes = [_codes(colour, coding) for colour in colours]
    with av.open(target, "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, coding.height, coding.pixel_format
        stream.codec_context.options = {"preset": "ultrafast", "x264-params": coding.parameters}
        for number in range(2):
            frame = av.VideoFrame(width, coding.height, coding.pixel_format)
            for index, plane in enumerate(frame.planes):
                sample = np.uint16 if coding.bits > 8 else np.uint8
                values = np.repeat([code[index] for code in codes], plane.width // len(codes)).astype(sample)
                rows = np.zeros((plane.height, plane.line_size // values.itemsize), dtype=sample)
                rows[:, : values.size] = values
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target.getvalue()


def pq(nits: float) -> float:
    """The PQ signal (0..1) for light of ``nits``."""
    power = (nits / 10_000) ** (2610 / 16384)
    return float(((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))


def hlg(scene: float) -> float:
    """The HLG signal (0..1) for light of the scene (0..1)."""
    if scene <= 1 / 12:
        return float((3 * scene) ** 0.5)
    return float(0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073)


def srgb(linear: float) -> float:
    """0..255 for light of 0..1."""
    return float(255 * (12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055))


def in_bt2020(linear: Colour) -> NDArray[np.float64]:
    """Linear BT.709 light in the primaries of BT.2020 (BT.2087)."""
    matrix = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    return np.asarray(np.asarray(matrix) @ np.asarray(linear), dtype=np.float64)


def _codes(colour: Colour, coding: Coding) -> tuple[int, int, int]:
    red, green, blue = colour
    of_red, of_blue = _LUMA[coding.matrix]
    luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    differences = (blue - luma) / (2 * (1 - of_blue)), (red - luma) / (2 * (1 - of_red))
    scale, top, middle = 1 << (coding.bits - 8), (1 << coding.bits) - 1, 1 << (coding.bits - 1)
    if coding.full_range:
        code = luma * top, *(middle + difference * top for difference in differences)
    else:
        code = (16 + 219 * luma) * scale, *((128 + 224 * difference) * scale for difference in differences)
    first, second, third = (min(top, round(each)) for each in code)
    return first, second, third
