import math
from collections.abc import Callable

import pytest

from tests.contracts.task_engine_contract import Engine, TaskEngineContract
from vidintel.infrastructure.tasks.in_process import InProcessTaskEngine, stop_ms


class TestInProcessTaskEngine(TaskEngineContract):
    @pytest.fixture
    def new_engine(self) -> Callable[[int], Engine]:
        return lambda concurrency: InProcessTaskEngine(concurrency=concurrency)


@pytest.mark.parametrize("drain_s", [0.0, 30.0, 600.0])
def test_who_is_told_to_hurry_has_time_to_hand_back_what_it_does(drain_s: float) -> None:
    assert stop_ms(drain_s) >= 1000 * drain_s + 60_000


def test_who_is_in_no_hurry_waits_longer_than_any_piece_of_work_takes() -> None:
    assert stop_ms(math.inf) > 1000 * 86_400
