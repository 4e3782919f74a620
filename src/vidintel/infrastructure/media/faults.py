"""Faults of a video that can still be read."""

from collections.abc import Callable
from dataclasses import dataclass, field

from vidintel.domain.video import MediaWarning

CORRUPT_FRAMES = "corrupt_frames"
RESOLUTION_CHANGED = "resolution_changed"
TIMESTAMPS_REPAIRED = "timestamps_repaired"
TRUNCATED = "truncated"

_DETAILS: dict[str, Callable[[int], str]] = {
    CORRUPT_FRAMES: lambda count: f"{count} of the frames to analyse cannot be decoded completely.",
    RESOLUTION_CHANGED: lambda count: f"{count} frames are of another size; they were scaled to the declared one.",
    TIMESTAMPS_REPAIRED: lambda count: f"The timestamps jump back {count} times; what follows was moved behind.",
    TRUNCATED: lambda _: "The file ends before the end of the video, or is damaged from here on.",
}


@dataclass(slots=True)
class Faults:
    """Counts the faults by code, with the first place of each."""

    _found: dict[str, tuple[int, float]] = field(default_factory=dict)

    def note(self, code: str, at_s: float, count: int = 1) -> None:
        before, first_at_s = self._found.get(code, (0, at_s))
        self._found[code] = before + count, min(at_s, first_at_s)

    def __contains__(self, code: str) -> bool:
        return code in self._found

    def warnings(self) -> tuple[MediaWarning, ...]:
        return tuple(
            MediaWarning(code, _DETAILS[code](count), round(at_s, 3)) for code, (count, at_s) in self._found.items()
        )
