"""Everything is killed once, under load and on a slow network; ``make chaos`` does the same for minutes."""

import asyncio

import pytest

from tests.chaos.run import Report, run
from tests.chaos.system import running
from tests.support.redis_server import find_redis_server
from tests.support.s3_server import require_s3_server


@pytest.mark.slow
def test_whatever_is_killed_what_was_accepted_is_finished_and_nothing_twice() -> None:
    find_redis_server()
    require_s3_server()

    async def chaos() -> Report:
        async with running() as system:
            return await run(system, seconds=0, seed=4)

    report = asyncio.run(chaos())

    assert len(report.kills) == 8
    assert len(report.load.accepted) > 1
    assert report.load.accepted <= report.findings.finished
    assert report.findings.doubled == []
    assert report.findings.faults == []
