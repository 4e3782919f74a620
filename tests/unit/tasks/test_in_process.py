from collections.abc import Callable

import pytest

from tests.contracts.task_engine_contract import Engine, TaskEngineContract
from vidintel.infrastructure.tasks.in_process import InProcessTaskEngine


class TestInProcessTaskEngine(TaskEngineContract):
    @pytest.fixture
    def new_engine(self) -> Callable[[int], Engine]:
        return lambda concurrency: InProcessTaskEngine(concurrency=concurrency)
