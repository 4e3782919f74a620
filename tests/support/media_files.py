"""Makes video files, ordinary and odd, so that none has to be kept. Each picture carries its number, to be read back.

Encoders write to memory; nothing here needs a network or a server.
"""

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from vidintel.application.ports import Image

WIDTH, HEIGHT = 160, 64
_BITS = 10
_TICKS = 90_000
_MPEG4_TICKS = 60_000  # MPEG-4 has 16 bits for it
_RATE = Fraction(25)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a file is coded. ``keyframe_every`` counts frames; ``rotation`` is degrees counter-clockwise."""

    container: str = "mp4"
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    keyframe_every: int = 10
    b_frames: int = 0
    open_gop: bool = False
    rotation: int = 0
    mirrored: bool = False
    pixel_aspect: Fraction | None = None
    sound_from_s: float | None = None
    index_first: bool = False
    fragmented: bool = False
    hidden_frames: bool = False

    def with_keyframes(self, every: int) -> "Recipe":
        return replace(self, keyframe_every=every)

    @property
    def muxing(self) -> dict[str, str]:
        if self.fragmented:
            return {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        return {"moov_size": "65536"} if self.index_first else {}

    @property
    def coding(self) -> dict[str, str]:
        every = f"keyint={self.keyframe_every}:min-keyint=1:scenecut=0:open-gop={int(self.open_gop)}"
        if self.codec == "libx264":
            return {"bf": str(self.b_frames), "preset": "veryfast", "x264-params": every}
        if self.codec == "libx265":
            return {"preset": "ultrafast", "x265-params": f"{every}:bframes={self.b_frames}:log-level=none"}
        if self.codec == "libsvtav1":
            return {"preset": "12"}
        return {"auto-alt-ref": "1", "lag-in-frames": "16"} if self.hidden_frames else {}


PLAIN = Recipe()


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> Image:
    """A picture of ten upright bars, black or white: the bits of ``number``."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    bar = width // _BITS
    for bit in range(_BITS):
        image[:, bit * bar : (bit + 1) * bar] = 255 if number >> bit & 1 else 0
    return image


def number_in(image: Image) -> int:
    """What `numbered` drew, after coding and decoding."""
    bar = image.shape[1] // _BITS
    middle = image[image.shape[0] // 2, :, 1]
    return sum(int(middle[bit * bar + bar // 2] > 127) << bit for bit in range(_BITS))


def even_times(count: int, rate: float = 25.0, start_s: float = 0.0) -> list[float]:
    return [start_s + index / rate for index in range(count)]


def video(
    times: Sequence[float], recipe: Recipe = PLAIN, draw: Callable[[int], Image] = numbered, rate: Fraction = _RATE
) -> bytes:
    """A file that shows ``draw(n)`` at ``times[n]`` seconds."""
    target = io.BytesIO()
    with av.open(target, "w", format=recipe.container, container_options=recipe.muxing) as out:
        stream = out.add_stream(recipe.codec, rate=rate)
        assert isinstance(stream, VideoStream)
        first = draw(0)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = recipe.pixel_format
        if recipe.codec != "mpeg2video" and recipe.container != "avi":  # those know even frame rates only
            ticks = _MPEG4_TICKS if recipe.codec == "mpeg4" else _TICKS
            stream.time_base = stream.codec_context.time_base = Fraction(1, ticks)
        stream.gop_size = recipe.keyframe_every
        stream.codec_context.options = recipe.coding
        if recipe.pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = recipe.pixel_aspect
        if recipe.rotation or recipe.mirrored:
            stream.set_display_rotation(recipe.rotation, hflip=recipe.mirrored)
        sound = None
        if recipe.sound_from_s is not None:
            sound = out.add_stream("aac", rate=48_000)
        for number, time_s in enumerate(times):
            frame = av.VideoFrame.from_ndarray(draw(number), format="bgr24")
            frame.pts, frame.time_base = round(time_s * _TICKS), Fraction(1, _TICKS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None and recipe.sound_from_s is not None:
            _mux_silence(out, sound, recipe.sound_from_s, times[-1])
    return target.getvalue()


def corner_marked(_: int) -> Image:
    """A grey picture whose top left corner is red."""
    image = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
    image[:16, :16] = (0, 0, 255)
    return image


def sound_only(*, cover: bool = False) -> bytes:
    """An M4A, with a picture of the record sleeve if asked for."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=48_000)
        if cover:
            sleeve = out.add_stream("mjpeg", rate=1)
            sleeve.width, sleeve.height, sleeve.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
            sleeve.disposition = Disposition.attached_pic
            out.mux(sleeve.encode(av.VideoFrame.from_ndarray(numbered(5), format="bgr24")))
            out.mux(sleeve.encode(None))
        _mux_silence(out, sound, 0.0, 1.0)
    return target.getvalue()


def without_frames() -> bytes:
    """An MP4 with a video track and nothing in it."""
    whole = video([0.0], Recipe(fragmented=True))
    return whole[: whole.index(b"moof") - 4]


def without_index(mp4: bytes) -> bytes:
    """What a recorder leaves that lost its power: everything but the index, which comes last."""
    return mp4[: mp4.index(b"moov") - 4]


def cut_off(mp4: bytes, share: float) -> bytes:
    """The same MP4, its index in front, of which ``share`` (0..1) of the pictures arrived."""
    start = mp4.index(b"mdat")
    return mp4[: start + round((len(mp4) - start) * share)]


def with_claimed_duration(mp4: bytes, hours: float) -> bytes:
    """The same MP4 with headers that claim another duration."""
    changed = bytearray(mp4)
    for box in (b"mvhd", b"mdhd"):
        at = mp4.index(box) + 4 + 12  # after the type: version and flags, creation, modification
        (timescale,) = struct.unpack_from(">I", mp4, at)
        struct.pack_into(">I", changed, at + 4, min(2**32 - 2, round(hours * 3600 * timescale)))
    return bytes(changed)


def _mux_silence(out: OutputContainer, sound: AudioStream, from_s: float, to_s: float) -> None:
    start, stop = round(from_s * 48_000), round(to_s * 48_000)
    for pts in range(start, max(stop, start + 1024), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, pts, Fraction(1, 48_000)
        out.mux(sound.encode(frame))
    out.mux(sound.encode(None))
