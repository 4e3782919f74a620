"""Dispatching due work."""

from collections.abc import Collection
from datetime import timedelta

from vidintel.application.ports import Clock, DueWork, TaskQueue, UnitOfWorkFactory
from vidintel.domain.identity import TenantId


class DispatchWork:
    """Enqueue due items of the ``kinds`` that this worker knows, fairly over tenants and families of kinds.

    It enqueues only as many items as this worker can start soon. So a worker that dies holds few items, and one tenant
    cannot fill the broker's queue. A flow is a tenant's items of one family. The flows that were served most recently
    come last, so that a tenant with many items cannot take every free place when places become free one at a time.
    """

    _FLOWS_REMEMBERED = 10_000

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        task_queue: TaskQueue,
        clock: Clock,
        *,
        kinds: Collection[str],
        redispatch: timedelta,
    ) -> None:
        self._uow = uow
        self._task_queue = task_queue
        self._clock = clock
        self._kinds = kinds
        self._redispatch = redispatch
        self._served: dict[tuple[TenantId, str], None] = {}  # in order of service, the least recent first

    async def __call__(self) -> int:
        """Returns how many items were enqueued."""
        room = self._task_queue.capacity - await self._task_queue.backlog()
        if room <= 0:
            return 0
        now = self._clock.now()
        async with self._uow() as uow:
            due = await uow.work_items.due(
                now, room, now + self._redispatch, kinds=tuple(self._kinds), served=tuple(self._served)
            )
            await uow.commit()
        for work in due:
            self._remember(work)
        if due:
            await self._task_queue.enqueue(due)
        return len(due)

    def _remember(self, work: DueWork) -> None:
        flow = work.tenant_id, work.kind.partition(".")[0]
        self._served.pop(flow, None)
        self._served[flow] = None
        if len(self._served) > self._FLOWS_REMEMBERED:
            del self._served[next(iter(self._served))]
