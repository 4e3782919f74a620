"""Reclaiming the items of dead workers."""

import logging
from collections.abc import Sequence

from vidintel.application.ports import Clock, Telemetry, UnitOfWorkFactory
from vidintel.application.work.setbacks import RecordSetback
from vidintel.domain.errors import DomainError, LeaseLost, ServiceUnavailable
from vidintel.domain.work import WorkItem

_BATCH = 100

_log = logging.getLogger(__name__)


class ReclaimWork:
    """Release items whose lease expired, or all items of the owner ``gone``, whose process is known to have ended.

    The reason why these processes ended is not known, so each of their items is counted as interrupted.
    """

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, setbacks: RecordSetback, telemetry: Telemetry) -> None:
        self._uow = uow
        self._clock = clock
        self._setbacks = setbacks
        self._telemetry = telemetry

    async def __call__(self, *, gone: str | None = None) -> int:
        """Returns how many items were released or given up."""
        async with self._uow() as uow:
            if gone is None:
                items = await uow.work_items.expired(self._clock.now(), _BATCH)
            else:
                items = await uow.work_items.held_by(gone, _BATCH)
        return await self._free(items, alone=False)

    async def died_alone(self, owner: str) -> int:
        """The process ``owner`` ran a single item, and died by itself."""
        async with self._uow() as uow:
            items = await uow.work_items.held_by(owner, _BATCH)
        return await self._free(items, alone=True)

    async def _free(self, items: Sequence[WorkItem], *, alone: bool) -> int:
        freed = 0
        for item in items:
            try:
                await self._setbacks.death(item, alone=alone)
            except LeaseLost:
                continue
            except ServiceUnavailable as error:
                if not error.contended:
                    raise
                _log.warning("work.contended", extra={"id": str(item.id), "kind": item.kind, "reason": error.detail})
            except DomainError as error:
                # The next sweep finds this item first again, so its failure must not stop the sweep of the others.
                _log.error(
                    "work.not_reclaimed",
                    extra={"id": str(item.id), "kind": item.kind, "code": error.code, "reason": error.detail},
                )
            else:
                self._telemetry.lease_expired(item.kind)
                freed += 1
        return freed
