"""Measures times and colours over the conformance set and writes them into ``docs/accuracy.md``.

Run from the repository's root: ``python -m scripts.measure_media``.
"""

import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.integration.media.test_colours import COLOURS, MATRICES, shown
from tests.support.colour_files import Coding, Colour, pq, srgb
from tests.support.media_conformance import CASES, Case, number_in
from vidintel.application.ports import MediaLimits
from vidintel.infrastructure.media.decoding import PyAvVideoDecoder

PAGE = Path("docs/accuracy.md")
BEGIN, END = "<!-- time and picture: begin -->", "<!-- time and picture: end -->"
_LIMITS = MediaLimits(max_duration_s=3600.0, max_side_px=8192)


@dataclass
class Row:
    files: int = 0
    frames: int = 0
    wrong: int = 0
    worst_s: float = 0.0

    def add(self, case: Case) -> None:
        decoder, content = PyAvVideoDecoder(), io.BytesIO(case.make())
        plan = decoder.plan(content, segment_s=0.3, sample_fps=None, limits=_LIMITS)
        frames = [frame for span in plan.segments for frame in decoder.frames(content, span, sample_fps=None)]
        self.files += 1
        self.frames += len(frames)
        self.wrong += abs(len(frames) - len(case.shown))
        for frame, number, time_s in zip(frames, case.shown, case.times, strict=False):
            self.wrong += number_in(frame.image) != number
            self.worst_s = max(self.worst_s, abs(frame.time_s - time_s))


def time_table() -> Iterator[str]:
    rows: dict[str, Row] = defaultdict(Row)
    for case in CASES:
        rows[_title(case)].add(case)
    yield "| what | files | frames | wrong or missing pictures | worst error of time |"
    yield "|---|--:|--:|--:|--:|"
    for title, row in rows.items():
        yield f"| {title} | {row.files} | {row.frames} | {row.wrong} | {row.worst_s * 1000:.3f} ms |"


def colour_table() -> Iterator[str]:
    yield "| coded as | patches | worst error of a channel (of 255) |"
    yield "|---|--:|--:|"
    for name, coding in MATRICES.items():
        worst, count = 0.0, 0
        for bits in (8, 10):
            for chroma in ("420", "422", "444"):
                for full_range in (False, True) if coding.tagged else (False,):
                    tried = replace(coding, bits=bits, chroma=chroma, full_range=full_range)
                    expected = [[255 * each for each in colour] for colour in COLOURS]
                    worst = max(worst, _worst(expected, shown(COLOURS, tried)))
                    count += len(COLOURS)
        ranges = "limited and full range" if coding.tagged else "limited range"
        yield f"| {name}; 8 and 10 bits; 4:2:0, 4:2:2, 4:4:4; {ranges} | {count} | {worst:.1f} |"
    nits = (0.0, 1.0, 5.0, 10.0, 26.0, 50.0, 80.0)
    greys: list[Colour] = [(pq(each),) * 3 for each in nits]
    seen = shown(greys, Coding("bt2020nc", "smpte2084", "bt2020", bits=10))
    worst = _worst([[srgb(each / 203)] * 3 for each in nits], seen)
    yield f"| PQ, BT.2020: greys up to 80 nits, against sRGB with white at 203 nits | {len(nits)} | {worst:.1f} |"


def _worst(expected: list[list[float]], seen: list[tuple[int, int, int]]) -> float:
    return max(abs(a - b) for one, other in zip(expected, seen, strict=True) for a, b in zip(one, other, strict=True))


def _title(case: Case) -> str:
    if case.group == "codec and container":
        return f"{case.name.partition(' in ')[0]} in each of its containers"
    return case.name.partition(",")[0]


def main() -> None:
    tables = "\n".join([BEGIN, "", *time_table(), "", *colour_table(), "", END])
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before + tables + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
