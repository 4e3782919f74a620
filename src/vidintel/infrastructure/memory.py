"""What a worker may take of the machine's memory: a hostile file ends its own work, and nothing else."""

import ctypes
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_FIRST_TO_GO = "500"
_TRIM: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)


def bound_memory(limit_bytes: int) -> None:
    """From now on this process is refused memory beyond ``limit_bytes``; an index of a few bytes can ask for all.

    Should the machine run out all the same, the kernel ends this process before the database and the API.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)


def return_free_memory() -> None:
    """Give the system back what was freed, where the C library can be asked to (glibc).

    It keeps what was freed for the next pictures, scattered over an arena for each thread: a long video makes it keep
    more and more.
    """
    if _TRIM is not None:
        _TRIM(0)


def resident_bytes() -> int | None:
    """What of this process lies in memory now; ``None`` where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize()
