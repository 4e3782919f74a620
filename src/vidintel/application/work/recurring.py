"""Recurring work, such as clean-up, that no client waits for."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid5

from vidintel.application.ports import Clock, UnitOfWork, UnitOfWorkFactory
from vidintel.application.work.handler import WorkHandler, WorkHandlers
from vidintel.application.work.lease import Lease
from vidintel.domain.work import SYSTEM_TENANT, Priority, WorkItem, WorkItemId

_NAMESPACE = UUID("6f4dbd52-7a3f-4a63-9a4b-0d3c1f3f5a10")


class RecurringWork(WorkHandler[None]):
    """Calls ``action`` every ``every``, in one worker process at a time."""

    def __init__(self, kind: str, action: Callable[[], Awaitable[object]], *, every: timedelta) -> None:
        self._kind = kind
        self._action = action
        self._every = every

    @property
    def kind(self) -> str:
        return self._kind

    @property
    def recurs_every(self) -> timedelta:
        return self._every

    async def begin(self, _uow: UnitOfWork, _item: WorkItem) -> None:
        return None

    async def run(self, _subject: None, _lease: Lease) -> object:
        return await self._action()


class ScheduleRecurringWork:
    """Add the missing items of the ``handlers`` that recur. Workers call it when they start."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, handlers: WorkHandlers) -> None:
        self._uow = uow
        self._clock = clock
        self._handlers = handlers

    async def __call__(self) -> None:
        now = self._clock.now()
        async with self._uow() as uow:
            for kind, handler in self._handlers.items():
                if handler.recurs_every is None:
                    continue
                item_id = uuid5(_NAMESPACE, kind)
                await uow.work_items.ensure(
                    WorkItem.schedule(
                        item_id=WorkItemId(item_id),
                        kind=kind,
                        subject_id=item_id,
                        group_id=item_id,
                        tenant_id=SYSTEM_TENANT,
                        priority=Priority.BACKGROUND,
                        created_at=now,
                        due_at=now,
                    )
                )
            await uow.commit()
