"""The videos that phones, cameras and screens make, with the true number of the frame drawn into every picture.

The upper half of a picture holds the frame's number as ten bars, black or white; below lie a white field on the left
and a black one on the right, which tell the way up. So a test reads from a decoded picture which frame it is and how it
lies, whatever the container says. ``CASES`` says for each file what a media player shows of it.
"""

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial

import av
import numpy as np

from tests.support.media_files import Recipe, even_times, video
from vidintel.application.ports import Image

WIDTH, HEIGHT = 160, 96
_BITS = 10
_COUNT = 24
VARIABLE = (0.0, 0.04, 0.05, 0.11, 0.5, 0.52, 0.9, 0.91, 0.92, 1.4, 1.44, 1.48, 2.2, 2.24, 2.25, 2.3, 2.9, 3.0, 3.3)
FILM = tuple(index * 1001 / 24_000 for index in range(_COUNT))
EVEN = tuple(even_times(_COUNT))


def marked(number: int, width: int = WIDTH, height: int = HEIGHT) -> Image:
    """The picture of the frame ``number`` (0..1023), upright."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    for bit in range(_BITS):
        left, right = bit * width // _BITS, (bit + 1) * width // _BITS
        image[: height // 2, left:right] = 255 * (number >> bit & 1)
    image[height // 2 :, : width // 2] = 255
    return image


def number_in(image: Image) -> int | None:
    """The number of the frame, or ``None`` when the picture is not upright."""
    height, width = image.shape[:2]
    lower = image[3 * height // 4]
    if not (lower[width // 4].min() > 180 and lower[3 * width // 4].max() < 75):
        return None
    row = image[height // 4, :, 1]
    return sum(int(row[(2 * bit + 1) * width // (2 * _BITS)] > 127) << bit for bit in range(_BITS))


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A file and what a player shows of it: frame ``numbers[i]`` at ``times[i]`` seconds, ``width`` × ``height``."""

    group: str
    name: str
    make: Callable[[], bytes]
    container: str = "mp4"
    codec: str = "h264"
    times: tuple[float, ...] = EVEN
    numbers: tuple[int, ...] = ()
    width: int = WIDTH
    height: int = HEIGHT
    rotation: int = 0
    tolerance_s: float = 1e-6
    warnings: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[int, ...]:
        return self.numbers or tuple(range(len(self.times)))

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """How to code the frames of a case; ``store`` turns the upright picture into the one that is stored."""

    recipe: Recipe = field(default_factory=Recipe)
    times: Sequence[float] = EVEN
    width: int = WIDTH
    height: int = HEIGHT
    store: Callable[[Image], Image] = np.asarray
    rate: Fraction = Fraction(25)

    def __call__(self) -> bytes:
        def draw(number: int) -> Image:
            return np.ascontiguousarray(self.store(marked(number, self.width, self.height)))

        return video(self.times, self.recipe, draw, rate=self.rate)


# --- containers and codecs --------------------------------------------------------------------------------------------

ENCODERS = {
    "h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1", "mpeg4": "mpeg4", "mjpeg": "mjpeg",
}  # fmt: skip
CONTAINERS = {
    "h264": ("mp4", "mov", "matroska", "mpegts", "avi", "flv", "h264"),
    "hevc": ("mp4", "mov", "matroska", "mpegts"),
    "vp9": ("mp4", "matroska", "webm"),
    "av1": ("mp4", "matroska", "webm"),
    "mpeg4": ("mp4", "mov", "matroska", "mpegts", "avi"),
    "mjpeg": ("mp4", "mov", "matroska", "avi"),
}
_MILLISECONDS = {"matroska", "webm", "flv"}


def _recipe(codec: str, container: str) -> Recipe:
    pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    has_b_frames = codec in {"h264", "hevc"} and container != "avi"
    return Recipe(container, ENCODERS[codec], pixel_format, keyframe_every=8, b_frames=2 if has_b_frames else 0)


def _tolerance(container: str) -> float:
    return 6e-4 if container in _MILLISECONDS else 1e-4


def _codecs() -> list[Case]:
    return [
        Case(
            "codec and container",
            f"{codec} in {container}",
            Coded(_recipe(codec, container)),
            "matroska" if container == "webm" else container,
            codec,
            # Before H.264, FFmpeg's AVI muxer puts a frame without a picture.
            times=tuple(even_times(_COUNT, start_s=0.04)) if (codec, container) == ("h264", "avi") else EVEN,
            tolerance_s=_tolerance(container),
        )
        for codec, containers in CONTAINERS.items()
        for container in containers
    ]


# --- time -------------------------------------------------------------------------------------------------------------


def _times() -> list[Case]:
    cases = []
    for container in ("mp4", "matroska", "mpegts"):
        tolerance_s = _tolerance(container)
        b_frames = Recipe(container, b_frames=2, keyframe_every=8)
        for name, times in (("variable", VARIABLE), ("23.976", FILM)):
            make = Coded(b_frames, times, rate=Fraction(24_000, 1001))
            cases.append(
                Case("time", f"{name} frame rate, {container}", make, container, times=times, tolerance_s=tolerance_s)
            )
        # What an MP4 leaves empty before its first picture is part of the film; elsewhere a player skips it.
        late_s = 5.0 if container == "mp4" else 0.0
        make = Coded(b_frames, even_times(_COUNT, start_s=5.0))
        times = tuple(even_times(_COUNT, start_s=late_s))
        cases.append(Case("time", f"late start, {container}", make, container, times=times, tolerance_s=tolerance_s))
        make = Coded(Recipe(container, b_frames=3, open_gop=True, keyframe_every=6))
        cases.append(Case("time", f"open groups, {container}", make, container, tolerance_s=tolerance_s))
        make = Coded(Recipe(container, b_frames=2, keyframe_every=1000))
        cases.append(Case("time", f"one keyframe, {container}", make, container, tolerance_s=tolerance_s))
    less, without_five = tuple(even_times(_COUNT - 5)), tuple(range(5, _COUNT))
    return [
        *cases,
        Case("time", "edit list that trims inside a group", partial(_trimmed, 5), times=less, numbers=without_five),
        Case("time", "edit list with an empty edit", _delayed, times=tuple(even_times(_COUNT, start_s=0.5))),
        Case(
            "time",
            "negative start, mp4",
            Coded(Recipe(b_frames=2), even_times(_COUNT, start_s=-0.2)),
            times=less,
            numbers=without_five,
        ),
        Case("time", "no duration: growing mkv", _growing, "matroska", tolerance_s=6e-4),
        Case("time", "no duration: fragmented mp4", Coded(Recipe(b_frames=2, fragmented=True, keyframe_every=8))),
        Case(
            "time",
            "two recordings joined, mpegts",
            _joined,
            "mpegts",
            times=tuple(even_times(2 * _COUNT)),
            numbers=(*range(_COUNT), *range(_COUNT)),
            tolerance_s=1e-4,
            warnings=("timestamps_repaired",),
        ),
    ]


def _growing() -> bytes:
    """A Matroska file as it is while being written: its header without a duration, its index not there yet."""
    sink = _Unseekable()
    with av.open(sink, "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", 8
        for number in range(_COUNT):
            frame = av.VideoFrame.from_ndarray(marked(number), format="bgr24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return b"".join(sink.chunks)


class _Unseekable:
    """A pipe: what is written cannot be changed any more."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.chunks.append(bytes(data))
        return len(data)


def _joined() -> bytes:
    part = Coded(Recipe("mpegts", b_frames=2, keyframe_every=8), even_times(_COUNT, start_s=10.0))()
    return part + part


def _trimmed(frames: int) -> bytes:
    whole = Coded(Recipe(b_frames=2, keyframe_every=12))()
    (duration, media_time), *_ = _edits(whole)
    timescale, movie_timescale = _timescale(whole, b"mdhd"), _timescale(whole, b"mvhd")
    cut = Fraction(frames, 25)
    return _with_edits(whole, [(duration - round(cut * movie_timescale), media_time + round(cut * timescale))])


def _delayed() -> bytes:
    whole = Coded(Recipe(b_frames=2, keyframe_every=8))()
    return _with_edits(whole, [(_timescale(whole, b"mvhd") // 2, -1), *_edits(whole)])


def _timescale(mp4: bytes, box: bytes) -> int:
    (timescale,) = struct.unpack_from(">I", mp4, mp4.index(box) + 4 + 12)
    return int(timescale)


def _edits(mp4: bytes) -> list[tuple[int, int]]:
    """(duration, media time) of each edit."""
    at = mp4.index(b"elst") + 8
    (count,) = struct.unpack_from(">I", mp4, at)
    return [struct.unpack_from(">Ii", mp4, at + 4 + 12 * index) for index in range(count)]


def _with_edits(mp4: bytes, edits: Sequence[tuple[int, int]]) -> bytes:
    """The same file, whose index comes last, with other edits."""
    at = mp4.index(b"elst") - 4
    (size,) = struct.unpack_from(">I", mp4, at)
    entries = b"".join(struct.pack(">IiI", duration, start, 1 << 16) for duration, start in edits)
    box = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
    changed = bytearray(mp4[:at] + box + mp4[at + size :])
    for parent in (b"moov", b"trak", b"edts"):
        start = mp4.index(parent) - 4
        (before,) = struct.unpack_from(">I", mp4, start)
        struct.pack_into(">I", changed, start, before + len(box) - size)
    return bytes(changed)


# --- picture ----------------------------------------------------------------------------------------------------------


def _pictures() -> list[Case]:
    turned: dict[str, tuple[Recipe, Callable[[Image], Image], int]] = {
        "turned by 90°": (Recipe(rotation=-90), partial(np.rot90, k=1), 90),
        "turned by 180°": (Recipe(rotation=180), partial(np.rot90, k=2), 180),
        "turned by 270°": (Recipe(rotation=90), partial(np.rot90, k=-1), 270),
        "mirrored": (Recipe(mirrored=True), np.fliplr, 0),
        "upside down": (Recipe(rotation=180, mirrored=True), np.flipud, 180),
    }
    wide = round(WIDTH * Fraction(4, 3))
    return [
        *(
            Case("picture", name, Coded(recipe, store=store), rotation=rotation)
            for name, (recipe, store, rotation) in turned.items()
        ),
        Case("picture", "wide pixels", Coded(Recipe(pixel_aspect=Fraction(4, 3))), width=wide),
        Case("picture", "odd size, 4:2:0", Coded(Recipe("matroska", "libvpx-vp9"), width=161, height=91),
             "matroska", "vp9", width=161, height=91, tolerance_s=6e-4),
        Case("picture", "odd size, 4:4:4", Coded(Recipe(pixel_format="yuv444p"), width=161, height=91),
             width=161, height=91),
        *(
            Case("picture", pixel_format, Coded(Recipe(pixel_format=pixel_format, b_frames=2)))
            for pixel_format in ("yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuvj420p")
        ),
        Case("picture", "change of size", _resized, "mpegts", times=tuple(even_times(2 * _COUNT)),
             numbers=(*range(_COUNT), *range(_COUNT)), tolerance_s=1e-4, warnings=("resolution_changed",)),
    ]  # fmt: skip


def _resized() -> bytes:
    recipe = Recipe("mpegts", keyframe_every=8)
    return (
        Coded(recipe)() + Coded(recipe, even_times(_COUNT, start_s=_COUNT / 25), width=2 * WIDTH, height=2 * HEIGHT)()
    )


CASES: tuple[Case, ...] = (*_codecs(), *_times(), *_pictures())
"""Every file of the set. Making one takes a fraction of a second."""


def content_of(case: Case) -> io.BytesIO:
    return io.BytesIO(case.make())
