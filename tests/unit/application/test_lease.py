"""Working under a lease, and while something it needs is down."""

import asyncio
import gc
from typing import Any
from uuid import uuid4

import pytest

from vidintel.application.work.lease import Lease, WorkerIdentity, retry_until, run_under_lease
from vidintel.domain.errors import ServiceUnavailable
from vidintel.domain.work import WorkItemId


class Flaky:
    """Unavailable the first ``times``."""

    def __init__(self, times: int) -> None:
        self.left = times

    async def __call__(self) -> None:
        if self.left:
            self.left -= 1
            raise ServiceUnavailable("Down.")


async def test_retrying_outlasts_an_outage() -> None:
    flaky = Flaky(3)

    await retry_until(flaky, for_s=10, every_s=0.001)

    assert flaky.left == 0


async def test_retrying_gives_up_in_the_end() -> None:
    with pytest.raises(ServiceUnavailable):
        await retry_until(Flaky(1_000_000), for_s=0.01, every_s=0.001)


async def test_work_that_ends_badly_after_its_cancellation_is_no_unhandled_error() -> None:
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    lease = Lease(WorkerIdentity("worker-1"), WorkItemId(uuid4()), token=1)
    began = asyncio.Event()

    async def work() -> None:
        began.set()
        while True:
            lease.check()
            await asyncio.sleep(0)

    async def extend() -> bool:
        return True

    held = asyncio.create_task(run_under_lease(lease, work(), extend, heartbeat_s=60))
    await began.wait()
    held.cancel()
    await asyncio.wait({held})
    assert held.cancelled()

    del held
    await asyncio.sleep(0)
    gc.collect()
    assert unhandled == []


async def test_work_that_shows_life_has_not_stalled_though_no_frame_gets_done() -> None:
    lease = Lease(WorkerIdentity("worker-1"), WorkItemId(uuid4()), token=1)

    async def work() -> str:
        for _ in range(30):
            await asyncio.sleep(0.05)
            lease.heartbeat()
        return "done"

    async def extend() -> bool:
        return True

    assert await run_under_lease(lease, work(), extend, heartbeat_s=0.01, stall_s=1) == "done"
    assert lease.frames_done == 0


async def test_a_heartbeat_that_hangs_is_given_up_for_the_next() -> None:
    lease = Lease(WorkerIdentity("worker-1"), WorkItemId(uuid4()), token=1)
    extended = asyncio.Event()
    hangs = [True, False]

    async def work() -> None:
        async with asyncio.timeout(10):
            await extended.wait()

    async def extend() -> bool:
        if hangs.pop(0):
            await asyncio.Event().wait()
        extended.set()
        return True

    await run_under_lease(lease, work(), extend, heartbeat_s=0.05)

    assert hangs == []
