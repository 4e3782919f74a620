"""Limits the memory of a worker, so that a hostile file makes only its own work fail."""

import ctypes
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_FIRST_TO_GO = "500"
_TRIM: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)


def bound_memory(limit_bytes: int) -> None:
    """Limit the memory of this process to ``limit_bytes``. A few bytes in a file can make a decoder request any amount.

    If the machine runs out of memory all the same, the kernel ends this process before the database and the API.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)


def return_free_memory() -> None:
    """Return freed memory to the system, where the C library supports it (glibc).

    glibc keeps freed memory in an arena for each thread. For a long video, these arenas grow more and more.
    """
    if _TRIM is not None:
        _TRIM(0)


def resident_bytes() -> int | None:
    """The resident memory of this process; ``None`` when the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize()
