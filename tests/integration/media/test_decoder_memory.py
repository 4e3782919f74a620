"""The decoder's memory does not grow with the length of the video, nor with the distance of its keyframes."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

COUNT = 15_000
SAMPLES_MAX = 1_500
_GROWTH_MAX_MB = 24

_MEASURE = """
import json, resource, sys
from vidintel.application.ports import MediaLimits
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

decoder = PyAvVideoDecoder(samples_max=int(sys.argv[2]))
limits = MediaLimits(max_duration_s=1e6, max_side_px=8192)
with open(sys.argv[1], "rb") as content:
    plan = decoder.plan(content, segment_s=10.0, sample_fps=None, limits=limits)
    peaks, indexes = [], []
    for span in plan.segments:
        indexes += [frame.index for frame in decoder.frames(content, span, sample_fps=None)]
        peaks.append(peak_mb())
largest = max(span.sample_count for span in plan.segments)
print(json.dumps({"first": peaks[0], "last": peaks[-1], "segments": len(peaks), "largest": largest,
                  "whole": indexes == list(range(len(indexes))), "frames": len(indexes)}))
"""


def film(path: Path, keyframe_every: int) -> None:
    frames = [
        av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, dtype=np.uint8), format="bgr24") for shade in (90, 110)
    ]
    with av.open(path, "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        every = f"keyint={keyframe_every}:min-keyint=1:scenecut=0"
        stream.codec_context.options = {"preset": "ultrafast", "x264-params": every}
        for number in range(COUNT):
            frame = frames[number // 25 % 2]
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


@pytest.mark.slow
@pytest.mark.parametrize("keyframe_every", [125, 10 * COUNT], ids=["keyframes every 5 s", "a single keyframe"])
def test_memory_stays_flat_and_segments_bounded(tmp_path: Path, keyframe_every: int) -> None:
    film(tmp_path / "film.mkv", keyframe_every)

    command = [sys.executable, "-c", _MEASURE, str(tmp_path / "film.mkv"), str(SAMPLES_MAX)]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    assert measured["whole"]
    assert measured["frames"] == COUNT
    assert measured["segments"] >= COUNT // SAMPLES_MAX
    assert measured["largest"] <= SAMPLES_MAX
    assert measured["last"] - measured["first"] < _GROWTH_MAX_MB
