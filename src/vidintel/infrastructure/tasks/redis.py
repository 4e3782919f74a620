"""The task engine over Redis: each worker can take messages that any worker has enqueued.

Redis holds no data that cannot be lost. While it is down, each worker enqueues for itself. The dispatcher enqueues lost
messages again: see docs/adr/0013-redis-as-task-broker.md.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import structlog
from dramatiq import Worker
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import BrokerConnectionError, ConnectionClosed
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from vidintel.application.ports import DueWork
from vidintel.domain.work import WorkItemId
from vidintel.infrastructure.resilience.redis_availability import RedisAvailability
from vidintel.infrastructure.tasks.actors import QUEUE, Actor, declare, message_for
from vidintel.infrastructure.tasks.in_process import InProcessTaskEngine, stop_ms

_RETRY_AFTER_S = 3.0
"""How long Redis is not asked again after it did not answer, in seconds."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class RedisTaskEngine:
    """Implements `TaskQueue` and `TaskEngine` for many processes, on ``concurrency`` threads of each.

    ``url`` is ``redis://…`` or ``rediss://…``; all keys begin with ``namespace``.
    """

    def __init__(self, url: str, *, namespace: str, concurrency: int) -> None:
        self._client = Redis.from_url(
            url,
            socket_timeout=10,
            socket_connect_timeout=3,
            health_check_interval=15,
            retry=Retry(NoBackoff(), 1),  # retry once on a new connection: the server may have been restarted
        )
        self._namespace = f"{namespace}:tasks"
        self._broker = _LenientBroker(self._client, self._namespace)
        self._broker.declare_queue(QUEUE)
        self._worker = Worker(self._broker, worker_threads=concurrency, worker_timeout=100)
        # Never more than there are threads: an idle worker could not take a message that waits here.
        self._worker.queue_prefetch = concurrency
        self._local = InProcessTaskEngine(concurrency=concurrency)
        self._concurrency = concurrency
        self._slots = threading.Semaphore(concurrency)
        self._lock = threading.Lock()
        self._running = 0
        self._redis = RedisAvailability("tasks", retry_after_s=_RETRY_AFTER_S)

    @property
    def capacity(self) -> int:
        """Twice the threads, so that a thread that ends finds the next message in Redis. Any worker may take it."""
        return 2 * self._concurrency

    async def backlog(self) -> int:
        """Counts the messages that wait in Redis as well, so that no more are enqueued than idle workers can take."""
        waiting = 0
        if self._redis.is_available:
            try:
                waiting = await asyncio.to_thread(self._waiting)
            except RedisError as error:
                self._redis.failed(error)
        return waiting + self._running + await self._local.backlog()

    async def enqueue(self, work: Sequence[DueWork]) -> None:
        remaining = list(work)
        while remaining and self._redis.is_available:
            try:
                await asyncio.to_thread(self._broker.enqueue, message_for(remaining[0]))
            except RedisError as error:
                # If Redis has received the message as well, the second worker finds the item claimed.
                self._redis.failed(error)
            else:
                del remaining[0]
        if remaining:
            await self._local.enqueue(remaining)

    def declare(self, actor: Actor, *, answered: Callable[[], None]) -> None:
        def within_slots(work_id: WorkItemId) -> None:
            with self._slots:
                actor(work_id)

        def around(work_id: WorkItemId) -> None:
            self._add(1)
            try:
                within_slots(work_id)
            finally:
                self._add(-1)
                answered()

        declare(self._broker, around)
        self._local.declare(within_slots, answered=answered)

    def start(self) -> None:
        self._local.start()
        self._worker.start()

    async def stop(self, *, drain_s: float, hurry: Callable[[], None]) -> None:
        stopping = [
            asyncio.create_task(asyncio.to_thread(self._worker.stop, stop_ms(drain_s))),
            asyncio.create_task(self._local.stop(drain_s=drain_s, hurry=hurry)),
        ]
        _, pending = await asyncio.wait(stopping, timeout=drain_s)
        if pending:
            hurry()
        await asyncio.gather(*stopping)
        await asyncio.to_thread(self._client.close)

    def _waiting(self) -> int:
        length = self._client.llen(f"{self._namespace}:{QUEUE}")
        assert isinstance(length, int)  # the client is not an asynchronous one
        return length

    def _add(self, change: int) -> None:
        with self._lock:
            self._running += change


class _LenientBroker(RedisBroker):
    def __init__(self, client: Redis, namespace: str) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # dramatiq left its constructors untyped
            client=client,
            namespace=namespace,
            middleware=[],  # retries, time limits and delays all live in the database
            heartbeat_timeout=30_000,
            # Recover the messages of dead workers with every command, rather than with one in a thousand.
            maintenance_chance=1_000_000,
        )

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        return _LenientConsumer(super().consume(queue_name, prefetch, timeout))


class _LenientConsumer(Consumer):
    """Acknowledges a handled message at most once, without retries.

    Dramatiq's consumer would retry until Redis is back, and block its thread and a shutdown. A message that is
    delivered again because of a missing acknowledgement finds its item claimed or done.
    """

    def __init__(self, inner: Consumer) -> None:
        self._inner = inner

    def __next__(self) -> MessageProxy | None:
        try:
            return next(self._inner)
        except RedisError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]  # as above

    def ack(self, message: MessageProxy) -> None:
        with _without_retries():
            self._inner.ack(message)

    def nack(self, message: MessageProxy) -> None:
        with _without_retries():
            self._inner.nack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        with _without_retries():
            self._inner.requeue(messages)

    def close(self) -> None:
        self._inner.close()


@contextmanager
def _without_retries() -> Iterator[None]:
    try:
        yield
    except (RedisError, BrokerConnectionError) as error:
        _log.info("message.not_acknowledged", error=repr(error))
