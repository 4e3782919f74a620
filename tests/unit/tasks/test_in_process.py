import asyncio
import math
import threading
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.contracts.task_engine_contract import Engine, TaskEngineContract
from vidintel.application.ports import DueWork
from vidintel.domain.analysis import JobStage
from vidintel.domain.identity import TenantId
from vidintel.infrastructure.tasks import in_process
from vidintel.infrastructure.tasks.in_process import InProcessTaskEngine


class TestInProcessTaskEngine(TaskEngineContract):
    @pytest.fixture
    def new_engine(self) -> Callable[[int], Engine]:
        return lambda concurrency: InProcessTaskEngine(concurrency=concurrency)


async def test_who_is_in_no_hurry_waits_for_what_runs_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process, "_STOP_MS", 1)
    engine = InProcessTaskEngine(concurrency=1)
    begun, ended = threading.Event(), threading.Event()

    def run_segment(_work_id: str) -> None:
        begun.set()
        time.sleep(0.3)
        ended.set()

    engine.declare(run_segment, answered=lambda: None)
    engine.start()
    await engine.ring(DueWork(JobStage.ANALYSE, uuid4(), TenantId("org_acme")))
    await asyncio.to_thread(begun.wait, 10)

    await engine.stop(drain_s=math.inf, hurry=lambda: None)

    assert ended.is_set()
