"""Files that are no videos, or that name other files: nothing but the given bytes is ever read."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.contracts.decoder_contract import LIMITS
from tests.support.media_files import Recipe, even_times, video
from vidintel.domain.errors import NotAVideo, UnsupportedMedia
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder


class Named(io.BytesIO):
    """Content that has a file name, which some demuxers look at."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


@pytest.fixture
def neighbour(tmp_path: Path) -> Path:
    """A readable video that a hostile file points at."""
    path = tmp_path / "secret.ts"
    path.write_bytes(video(even_times(10), Recipe(container="mpegts")))
    return path


def playlists(target: Path) -> dict[str, bytes]:
    return {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n".encode(),
        "file.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{target}\n#EXT-X-ENDLIST\n".encode(),
        "list.ffconcat": f"ffconcat version 1.0\nfile {target}\n".encode(),
        "list.txt": f"ffconcat version 1.0\nfile '{target.name}'\n".encode(),
        "list.mpd": (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT1S" minBufferTime="PT1S"><Period><AdaptationSet mimeType="video/mp2t">'
            f'<Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL></Representation>'
            "</AdaptationSet></Period></MPD>"
        ).encode(),
        "list.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    }


@pytest.mark.parametrize("name", sorted(playlists(Path("x"))))
def test_a_list_of_files_is_no_video(neighbour: Path, name: str) -> None:
    content = Named(playlists(neighbour)[name], str(neighbour.parent / name))
    with pytest.raises(NotAVideo):
        PyAvVideoDecoder().plan(content, segment_s=10.0, sample_fps=None, limits=LIMITS)


def encoded(suffix: str) -> bytes:
    done, data = cv2.imencode(suffix, np.full((32, 32, 3), 90, dtype=np.uint8))
    assert done
    return data.tobytes()


def gif() -> bytes:
    return video([0.0], Recipe(container="gif", codec="gif", pixel_format="rgb8"))


@pytest.mark.parametrize(
    "content",
    [
        encoded(".png"),
        encoded(".jpg"),
        gif(),
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" * 20,
        b"ID3\x03\x00\x00\x00\x00\x00\x00" + b"\xff\xfb\x90\x64" * 400,
        b"PK\x03\x04" + bytes(500),
        bytes(4096),
        b"\x00\x00\x00\x18ftypmp42" + bytes(8),
    ],
    ids=["png", "jpeg", "gif", "pdf", "mp3", "zip", "zeros", "mp4 head"],
)
def test_other_files_are_no_videos(content: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        PyAvVideoDecoder().plan(Named(content, "clip.mp4"), segment_s=10.0, sample_fps=None, limits=LIMITS)
