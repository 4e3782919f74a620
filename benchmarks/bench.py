"""The parameters of each benchmark: where to work, how often to measure, and whether to take a short run."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Bench:
    """``work`` keeps clips and compiled models for the next time, ``results`` takes tables and logs."""

    work: Path
    results: Path
    rounds: int
    is_quick: bool
