"""The task engine in one process: Dramatiq's in-memory broker, worked by Dramatiq's own threads."""

import asyncio
import threading
from collections.abc import Callable, Mapping

from dramatiq import Broker, Message, Worker
from dramatiq.brokers.stub import StubBroker

from vidintel.application.ports import DueWork
from vidintel.domain.analysis import JobStage

QUEUE = "vidintel"
ACTORS: Mapping[JobStage, str] = {
    JobStage.PLAN: "plan_job",
    JobStage.ANALYSE: "run_segment",
    JobStage.FINISH: "finish_job",
}


def in_process_broker() -> Broker:
    """A broker without retries, time limits and delays: all of these live in the database."""
    broker = StubBroker(middleware=[])
    broker.declare_queue(QUEUE)
    return broker


class DramatiqDoorbell:
    """Implements `Doorbell` on a Dramatiq broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lock = threading.Lock()
        self._load = 0

    @property
    def load(self) -> int:
        return self._load

    async def ring(self, work: DueWork) -> None:
        message: Message[object] = Message(
            queue_name=QUEUE, actor_name=ACTORS[work.stage], args=(str(work.id),), kwargs={}, options={}
        )
        self._add(1)
        try:
            await asyncio.to_thread(self._broker.enqueue, message)
        except BaseException:
            self._add(-1)
            raise

    def answered(self) -> None:
        """A message's handling has ended. From any thread."""
        self._add(-1)

    def _add(self, change: int) -> None:
        with self._lock:
            self._load += change


class DramatiqEngine:
    """Runs a broker's actors on ``concurrency`` threads of this process."""

    def __init__(self, broker: Broker, *, concurrency: int) -> None:
        self._worker = Worker(broker, worker_threads=concurrency, worker_timeout=100)

    def start(self) -> None:
        self._worker.start()

    async def stop(self, *, drain_s: float, hurry: Callable[[], None]) -> None:
        """Let the actors finish what they run; after ``drain_s`` seconds call ``hurry`` and wait for them."""
        stopping = asyncio.create_task(asyncio.to_thread(self._worker.stop, 600_000))
        _, pending = await asyncio.wait({stopping}, timeout=drain_s)
        if pending:
            hurry()
        await stopping
