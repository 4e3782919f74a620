from collections.abc import Sequence

import numpy as np
import pytest

from tests.contracts.decoder_contract import MakeClip, VideoDecoderContract
from tests.contracts.detector_contract import DetectorContract
from tests.support.fake_inference import FakeDetector, FakeVideoDecoder, fake_clip
from vidintel.application.ports import Detector, Frame, VideoDecoder


class TestFakeVideoDecoder(VideoDecoderContract):
    @pytest.fixture
    def decoder(self) -> VideoDecoder:
        return FakeVideoDecoder()

    @pytest.fixture
    def make_clip(self) -> MakeClip:
        return fake_clip


class TestFakeDetector(DetectorContract):
    @pytest.fixture
    def detector(self) -> Detector:
        return FakeDetector()

    @pytest.fixture
    def frames(self) -> Sequence[Frame]:
        blank = np.zeros((8, 8, 3), dtype=np.uint8)
        return [Frame(index, index / 25, blank) for index in range(6)]
