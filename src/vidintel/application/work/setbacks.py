"""Handles errors and deaths: an item is released for a retry, or given up."""

from vidintel.application.ports import Clock, Telemetry, UnitOfWorkFactory, WorkOutcome
from vidintel.application.retry import retried
from vidintel.application.work.handler import WorkHandlers
from vidintel.domain.errors import AttemptsExhausted, BusinessRuleViolation, DomainError, LeaseLost, UnsupportedMedia
from vidintel.domain.video import Failure
from vidintel.domain.work import EXHAUSTED, RetryPolicy, Setback, WorkItem

PERMANENT = (BusinessRuleViolation, UnsupportedMedia)
"""Errors of the file or of the request: a retry cannot help."""


class RecordSetback:
    """Release an item for a retry, or give it up, in one transaction and under its fencing token.

    Raises `LeaseLost` when another worker holds the item, or when it is deleted.
    """

    def __init__(
        self, uow: UnitOfWorkFactory, clock: Clock, handlers: WorkHandlers, policy: RetryPolicy, telemetry: Telemetry
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._handlers = handlers
        self._policy = policy
        self._telemetry = telemetry

    async def error(self, item: WorkItem, error: Exception) -> None:
        """Record that ``error`` ended an attempt."""
        if isinstance(error, PERMANENT):
            await self._record(item, None, Failure.of(error))
            self._telemetry.decode_fault(error.code)
        elif isinstance(error, DomainError):
            await self._record(item, Setback.ERROR, Failure.of(error))
        else:  # the texts of unexpected errors are for our log, not for clients
            await self._record(item, Setback.ERROR, Failure(AttemptsExhausted.code, EXHAUSTED[Setback.ERROR][1]))

    async def death(self, item: WorkItem, *, alone: bool) -> None:
        """Record that the holder's process died; ``alone`` when it ran only this item and died by itself."""
        setback = Setback.DIED_ALONE if alone else Setback.INTERRUPTED
        await self._record(item, setback, Failure(*EXHAUSTED[setback]))

    @retried
    async def _record(self, found: WorkItem, setback: Setback | None, failure: Failure) -> None:
        now, token = self._clock.now(), found.work.token
        handler = self._handlers.get(found.kind)
        async with self._uow() as uow:
            item = await uow.work_items.get(found.id)
            if item is None:
                raise LeaseLost("The work was cancelled.")
            item.work.require(token)
            lives = setback is not None and item.set_back(token, setback, now, self._policy)
            if not lives and (handler is None or handler.recurs_every is not None):
                # Recurring work is never given up, nor is work of a kind that this worker does not know.
                item.release(token, now + self._policy.delay(item.work.attempts + 1))
                lives = True
            if lives:
                await uow.work_items.save(item, token)
            elif handler is not None:
                await handler.give_up(uow, item, failure, now)
                if not await uow.work_items.complete(item.id, token):
                    raise LeaseLost
            await uow.notify_work()
            await uow.commit()
        self._telemetry.work_ended(found.kind, WorkOutcome.RETRIED if lives else WorkOutcome.FAILED)
