"""Runs contestants in turn, several times, so that what else goes on in the machine strikes them alike."""

import time
from collections.abc import Callable
from typing import TypeVar

from benchmarks.report import Timed

K = TypeVar("K")
R = TypeVar("R")


def timed(work: Callable[[], float]) -> Timed:
    """``work`` returns how many units it did; processor time is that of this process."""
    cpu, start = time.process_time(), time.perf_counter()
    units = work()
    return Timed(units, time.perf_counter() - start, time.process_time() - cpu)


def in_turn(contestants: dict[K, Callable[[], R]], rounds: int) -> dict[K, list[R]]:
    """Each contestant's runs; the order is turned round every other round."""
    found: dict[K, list[R]] = {name: [] for name in contestants}
    for number in range(rounds):
        order = list(contestants)
        for name in order if number % 2 == 0 else reversed(order):
            found[name].append(contestants[name]())
    return found
