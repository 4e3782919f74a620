"""`SoloProcess` as a child of the worker: the same program, started for one item."""

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from pathlib import Path

from vidintel.application.work.isolation import ProcessEnd
from vidintel.domain.work import WorkItemId

_LOOK_EVERY_S = 0.2
_LEAVES_WITHIN_S = 10.0
_MEMORY_EVENTS = Path("/sys/fs/cgroup/memory.events")
_FROM_OUTSIDE = frozenset({-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP})


class ChildProcess:
    """Implements `SoloProcess`. ``command`` is given ``--alone ID --name OWNER``.

    The child's standard input is a pipe. When this process ends for any reason, the child reads the end of the pipe and
    exits. A child that ended by SIGKILL, SIGTERM, SIGINT or SIGHUP counts as stopped from outside, unless the kernel
    killed it for its memory.
    """

    def __init__(self, command: Sequence[str], *, memory_events: Path = _MEMORY_EVENTS) -> None:
        self._command = command
        self._memory_events = memory_events

    async def run(self, work_id: WorkItemId, owner: str, *, is_leaving: Callable[[], bool]) -> ProcessEnd:
        killed_before = self._killed_for_memory()
        process = await asyncio.create_subprocess_exec(
            *self._command, "--alone", str(work_id), "--name", owner, stdin=PIPE, start_new_session=True
        )
        try:
            status = await self._ended(process, is_leaving)
        except BaseException:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        ran_out_of_memory = self._killed_for_memory() > killed_before
        return ProcessEnd(status, was_stopped=status in _FROM_OUTSIDE and not ran_out_of_memory)

    async def _ended(self, process: Process, is_leaving: Callable[[], bool]) -> int:
        waiting = asyncio.create_task(process.wait())
        while not is_leaving():
            done, _ = await asyncio.wait({waiting}, timeout=_LOOK_EVERY_S)
            if done:
                return await waiting
        if process.stdin is not None:
            process.stdin.close()
        done, _ = await asyncio.wait({waiting}, timeout=_LEAVES_WITHIN_S)
        if not done:
            process.kill()
        return await waiting

    def _killed_for_memory(self) -> int:
        """How many processes of this control group the kernel has killed for their memory; 0 when not known."""
        try:
            events = dict(line.split() for line in self._memory_events.read_text().splitlines())
        except (OSError, ValueError):
            return 0
        return int(events.get("oom_kill", 0))
