"""Handing out due work."""

from collections.abc import Collection
from datetime import timedelta

from vidintel.application.ports import Clock, DueWork, TaskQueue, UnitOfWorkFactory
from vidintel.domain.identity import TenantId


class DispatchWork:
    """Enqueue due items of the ``kinds`` that this worker knows, fairly over tenants and families of kinds.

    It enqueues only what this worker can begin soon, so that a worker that dies takes little with it, and no tenant
    queues up in a broker. Flows (a tenant's items of one family) that were served last come last: items may be taken
    one at a time, and a tenant with many must not get every place.
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
        self._served: dict[tuple[TenantId, str], None] = {}  # in order, longest ago first

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
