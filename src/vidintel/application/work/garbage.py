"""Removing objects that are no longer needed."""

import logging

from vidintel.application.ports import Clock, ObjectStorage, UnitOfWorkFactory
from vidintel.domain.errors import DomainError, ServiceUnavailable

_BATCH = 100
_MOST_BATCHES = 50

_log = logging.getLogger(__name__)


class CollectGarbage:
    """Remove objects whose deletion is due: those of deleted videos, and those that were never attached to one."""

    def __init__(self, uow: UnitOfWorkFactory, storage: ObjectStorage, clock: Clock) -> None:
        self._uow = uow
        self._storage = storage
        self._clock = clock

    async def __call__(self) -> int:
        """Returns how many objects were removed. A failed removal is retried later, after the others."""
        removed = 0
        for _ in range(_MOST_BATCHES):
            taken, gone = await self._remove_due()
            removed += gone
            if taken < _BATCH or not gone:
                break
        return removed

    async def _remove_due(self) -> tuple[int, int]:
        """How many objects the batch had, and how many of these were removed."""
        # No transaction is open while objects are removed: removal may take long, and would block others on the rows.
        async with self._uow() as uow:
            keys = await uow.object_deletions.take_due(self._clock.now(), _BATCH)
            await uow.commit()
        removed: list[str] = []
        try:
            for key in keys:
                try:
                    await self._storage.delete(key)
                except ServiceUnavailable:
                    break
                except DomainError as error:
                    _log.warning("object.not_removed", extra={"key": key, "code": error.code, "reason": error.detail})
                    continue
                removed.append(key)
        finally:
            if removed:
                async with self._uow() as uow:
                    await uow.object_deletions.removed(removed)
                    await uow.commit()
        return len(keys), len(removed)


class PurgeUnfinished:
    """Remove unfinished writes and uploads from the storage that did not grow for ``after_s`` seconds.

    Call it rarely: listing them takes a request, which some storage providers charge for.
    """

    def __init__(self, storage: ObjectStorage, *, after_s: float = 86_400) -> None:
        self._storage = storage
        self._after_s = after_s

    async def __call__(self) -> int:
        """Returns how many writes and uploads were removed."""
        return await self._storage.purge_unfinished(self._after_s)
