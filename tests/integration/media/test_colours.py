"""Colours come as a plain screen shows them, whatever the file is coded in."""

import io
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.contracts.decoder_contract import LIMITS
from tests.support.colour_files import PATCH, Coding, Colour, hlg, in_bt2020, patches, pq, srgb
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder

COLOURS: tuple[Colour, ...] = (
    (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0),
    (0.8, 0.5, 0.25), (0.1, 0.35, 0.7),
)  # fmt: skip
MATRICES = {
    "BT.709": Coding(),
    "BT.601": Coding(matrix="smpte170m", transfer="smpte170m", primaries="smpte170m"),
    "untagged, small": Coding(matrix="smpte170m", tagged=False),
    "untagged, high definition": Coding(matrix="bt709", tagged=False, height=720),
}


def shown(colours: Sequence[Colour], coding: Coding) -> list[tuple[int, int, int]]:
    """The R, G, B (0..255) in the middle of each patch."""
    decoder, content = PyAvVideoDecoder(), io.BytesIO(patches(colours, coding))
    plan = decoder.plan(content, segment_s=10.0, sample_fps=None, limits=LIMITS)
    image = next(iter(decoder.frames(content, plan.segments[0], sample_fps=None))).image
    middles = (image[coding.height // 2, PATCH * index + PATCH // 2] for index in range(len(colours)))
    return [(int(red), int(green), int(blue)) for blue, green, red in middles]


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("chroma", ["420", "422", "444"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("name", MATRICES)
def test_patches_have_their_colours(name: str, full_range: bool, chroma: str, bits: int) -> None:
    coding = replace(MATRICES[name], chroma=chroma, bits=bits)
    if coding.tagged:
        coding = replace(coding, full_range=full_range)

    for colour, (red, green, blue) in zip(COLOURS, shown(COLOURS, coding), strict=True):
        assert (red, green, blue) == pytest.approx([255 * each for each in colour], abs=4)


def test_wide_colours_of_plain_video_are_brought_to_the_screen() -> None:
    """BT.2020 without HDR: colours inside BT.709 come as they are."""
    linear: list[Colour] = [(0.2, 0.2, 0.2), (0.5, 0.05, 0.05), (0.05, 0.4, 0.05), (0.05, 0.05, 0.6)]
    coded: list[Colour] = [tuple((in_bt2020(each) ** (1 / 2.4)).tolist()) for each in linear]
    coding = Coding("bt2020nc", "bt2020-10", "bt2020", bits=10)

    for colour, rgb in zip(linear, shown(coded, coding), strict=True):
        assert rgb == pytest.approx([255 * each ** (1 / 2.4) for each in colour], abs=4)


def test_pq_keeps_the_greys_below_the_highlights_and_loses_none_above() -> None:
    nits = (0.0, 1.0, 10.0, 26.0, 50.0, 80.0, 100.0, 203.0, 400.0, 700.0, 1000.0, 4000.0)
    greys: list[Colour] = [(pq(each),) * 3 for each in nits]

    levels = [rgb[0] for rgb in shown(greys, Coding("bt2020nc", "smpte2084", "bt2020", bits=10))]

    for light, level in zip(nits[:6], levels[:6], strict=True):
        assert level == pytest.approx(srgb(light / 203), abs=3)
    assert levels[3] == pytest.approx(100, abs=3)  # a grey card stays a grey card
    assert levels[0] <= 2
    assert 215 <= levels[7] <= 240  # paper white, with room above it
    assert levels[:10] == sorted(set(levels[:10]))
    assert levels[10] >= 252
    assert levels[11] >= 252


def test_hlg_shows_greys_as_a_reference_display_does() -> None:
    signals = (0.0, 0.1, 0.25, 0.38, 0.5, 0.75, 0.9)
    greys: list[Colour] = [(each,) * 3 for each in signals]

    levels = [rgb[0] for rgb in shown(greys, Coding("bt2020nc", "arib-std-b67", "bt2020", bits=10))]

    assert levels[0] <= 2
    assert levels[3] == pytest.approx(100, abs=4)  # BT.2408: a grey card lies at 38 %
    assert 215 <= levels[5] <= 240  # and paper white at 75 %
    assert levels == sorted(set(levels))


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_colours_of_hdr_keep_their_hue(transfer: str) -> None:
    linear: list[Colour] = [(0.3, 0.02, 0.02), (0.02, 0.3, 0.02), (0.02, 0.02, 0.3), (0.25, 0.15, 0.08)]
    coded: list[Colour] = []
    for colour in linear:
        light = in_bt2020(colour) * 203
        if transfer == "smpte2084":
            red, green, blue = (pq(each) for each in light.tolist())
        else:  # the system gamma, undone
            luminance = float(light @ [0.2627, 0.6780, 0.0593])
            scene = light / 1000 / (luminance / 1000) ** (0.2 / 1.2)
            red, green, blue = (hlg(each) for each in scene.tolist())
        coded.append((red, green, blue))

    for colour, rgb in zip(linear, shown(coded, Coding("bt2020nc", transfer, "bt2020", bits=10)), strict=True):
        # The table is coarse where a dark channel lies beside a bright one.
        assert rgb == pytest.approx([srgb(each) for each in colour], abs=10)
