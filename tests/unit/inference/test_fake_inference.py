from collections.abc import Sequence

import numpy as np
import pytest

from tests.contracts.decoder_contract import MakeClip, VideoDecoderContract
from tests.contracts.detector_contract import DetectorContract
from tests.support.fake_inference import FAKE_MODEL, FakeDetector, FakeVideoDecoder, fake_clip, objects_at
from tests.support.scripted_media import ScriptedMedia
from vidintel.application.ports import Detector, Frame, VideoDecoder


class TestFakeVideoDecoder(VideoDecoderContract):
    @pytest.fixture
    def decoder(self) -> VideoDecoder:
        return FakeVideoDecoder()

    @pytest.fixture
    def make_clip(self) -> MakeClip:
        return fake_clip


class TestScriptedMedia(VideoDecoderContract, DetectorContract):
    @pytest.fixture
    def decoder(self) -> VideoDecoder:
        return ScriptedMedia(clip=None)

    @pytest.fixture
    def make_clip(self) -> MakeClip:
        return fake_clip

    @pytest.fixture
    def detector(self) -> Detector:
        return ScriptedMedia(scene=lambda time_s: objects_at(round(time_s * 25)), model=FAKE_MODEL)

    @pytest.fixture
    def frames(self) -> Sequence[Frame]:
        return blank_frames()


class TestFakeDetector(DetectorContract):
    @pytest.fixture
    def detector(self) -> Detector:
        return FakeDetector()

    @pytest.fixture
    def frames(self) -> Sequence[Frame]:
        return blank_frames()


def blank_frames() -> Sequence[Frame]:
    blank = np.zeros((8, 8, 3), dtype=np.uint8)
    return [Frame(index, index / 25, blank) for index in range(6)]
