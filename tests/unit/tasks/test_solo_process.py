"""Children that do one item and end, in whatever way."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from vidintel.application.work.isolation import ProcessEnd
from vidintel.domain.work import WorkItemId
from vidintel.infrastructure.tasks.solo_process import ChildProcess

WORK_ID = WorkItemId(uuid4())


def child(code: str, **options: Path) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", code], **options)


async def run(process: ChildProcess) -> ProcessEnd:
    async with asyncio.timeout(60):
        return await process.run(WORK_ID, "worker-1/alone", is_leaving=lambda: False)


async def test_a_child_is_told_what_to_do_and_under_which_name(tmp_path: Path) -> None:
    told = tmp_path / "told"

    end = await run(child(f"import sys; open({str(told)!r}, 'w').write(' '.join(sys.argv[1:]))"))

    assert end == ProcessEnd(0, was_stopped=False)
    assert told.read_text() == f"--alone {WORK_ID} --name worker-1/alone"


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("raise SystemExit(70)", ProcessEnd(70, was_stopped=False)),
        ("import os; os.abort()", ProcessEnd(-signal.SIGABRT, was_stopped=False)),
        ("import os; os.kill(os.getpid(), 11)", ProcessEnd(-signal.SIGSEGV, was_stopped=False)),
        ("import os; os.kill(os.getpid(), 9)", ProcessEnd(-signal.SIGKILL, was_stopped=True)),
        ("import os; os.kill(os.getpid(), 15)", ProcessEnd(-signal.SIGTERM, was_stopped=True)),
    ],
    ids=["exit", "abort", "crash", "kill", "terminate"],
)
async def test_a_child_that_dies_of_itself_is_told_from_one_that_was_stopped(code: str, end: ProcessEnd) -> None:
    assert await run(child(code)) == end


async def test_a_child_that_the_kernel_kills_for_its_memory_died_of_itself(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 1\noom_kill 4\n")
    code = f"import os; open({str(events)!r}, 'w').write('low 0\\noom 2\\noom_kill 5\\n'); os.kill(os.getpid(), 9)"

    assert await run(child(code, memory_events=events)) == ProcessEnd(-signal.SIGKILL, was_stopped=False)


async def test_a_worker_that_leaves_has_its_child_leave() -> None:
    process = child("import sys; sys.stdin.read()")

    async with asyncio.timeout(60):
        end = await process.run(WORK_ID, "worker-1/alone", is_leaving=lambda: True)

    assert end == ProcessEnd(0, was_stopped=False)


async def test_a_child_does_not_outlive_a_run_that_is_cancelled(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    code = f"import os, time; open({str(begun)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    running = asyncio.create_task(run(child(code)))
    async with asyncio.timeout(60):
        while not (begun.exists() and begun.read_text()):  # noqa: ASYNC110 - a file has no event to wait for
            await asyncio.sleep(0.01)

    running.cancel()
    await asyncio.wait({running})

    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)
