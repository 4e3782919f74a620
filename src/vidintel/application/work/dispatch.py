"""Handing out due work."""

from datetime import timedelta

from vidintel.application.ports import (
    Clock,
    TaskQueue,
    UnitOfWorkFactory,
)
from vidintel.domain.identity import TenantId

_BATCH = 100
_MOST_BATCHES = 50
# Listing what is unfinished costs a request, in some places money.
_PURGE_EVERY = timedelta(hours=1)


class DispatchWork:
    """Ring for work that is due, fair over tenants, and only for as much as this worker can begin at once.

    So a worker that dies takes at most what it was working on with it, and no tenant queues up in a broker. Whom it
    served last comes last: work may be taken one piece at a time, and a tenant with many must not get each of them.
    """

    _TENANTS_REMEMBERED = 10_000

    def __init__(
        self, uow: UnitOfWorkFactory, task_queue: TaskQueue, clock: Clock, *, concurrency: int, redispatch: timedelta
    ) -> None:
        self._uow = uow
        self._task_queue = task_queue
        self._clock = clock
        self._concurrency = concurrency
        self._redispatch = redispatch
        self._served: dict[TenantId, None] = {}  # in order, longest ago first

    async def __call__(self) -> int:
        """Returns how many pieces of work were rung for."""
        room = self._concurrency - await self._task_queue.backlog()
        if room <= 0:
            return 0
        now = self._clock.now()
        async with self._uow() as uow:
            due = await uow.work_queue.take_due(now, room, now + self._redispatch, tuple(self._served))
            await uow.commit()
        for work in due:
            self._remember(work.tenant_id)
            await self._task_queue.enqueue(work)
        return len(due)

    def _remember(self, tenant_id: TenantId) -> None:
        self._served.pop(tenant_id, None)
        self._served[tenant_id] = None
        if len(self._served) > self._TENANTS_REMEMBERED:
            del self._served[next(iter(self._served))]
