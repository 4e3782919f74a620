"""The interface that each kind of background work implements."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, TypeAlias, TypeVar

from vidintel.application.ports import UnitOfWork
from vidintel.application.work.lease import Lease
from vidintel.domain.video import Failure
from vidintel.domain.work import WorkItem

Subject = TypeVar("Subject")


class WorkHandler(ABC, Generic[Subject]):
    """Does one kind of work. Subclass it, give it a ``kind``, and register it with the container's ``handlers``.

    ``begin`` and ``run`` are needed; the rest has defaults. An item is handled at least once: what `run` writes, it
    writes in the transaction in which it calls `Lease.complete`.
    """

    @property
    @abstractmethod
    def kind(self) -> str:
        """``family.name``, stored with the items and shown in logs and metrics."""

    @property
    def reports_progress(self) -> bool:
        """Whether `run` calls `Lease.heartbeat` regularly, so that a long time without a call means that it hangs."""
        return False

    @property
    def recurs_every(self) -> timedelta | None:
        """How long after each run the item is due again; ``None`` for work that is done once."""
        return None

    @abstractmethod
    async def begin(self, uow: UnitOfWork, item: WorkItem) -> Subject:
        """Read what `run` needs, within the transaction that claims the item.

        Lock rows that change in the order video, job, segment. Raise `LeaseLost` when there is nothing to do.
        """

    @abstractmethod
    async def run(self, subject: Subject, lease: Lease) -> object:
        """Do the work. The return value is logged.

        Errors of the file or the request (`BusinessRuleViolation`, `UnsupportedMedia`) make the item fail for good.
        After `ServiceUnavailable` the item is retried without counting an attempt. Any other error counts an attempt.
        """

    async def give_up(self, uow: UnitOfWork, item: WorkItem, failure: Failure, now: datetime) -> None:
        """Record that the work failed for good, within the transaction that removes ``item``; do not remove ``item``.

        Lock rows in the order video, job, segment. Raise `LeaseLost` when the subject is deleted.
        """

    async def save_progress(self, uow: UnitOfWork, subject: Subject, lease: Lease) -> None:
        """Record the progress of the work, within the transaction of a heartbeat."""

    def log_context(self, subject: Subject) -> Mapping[str, str]:  # noqa: ARG002 - handlers override it to add ids
        """Ids that every log line about this item carries."""
        return {}


AnyHandler: TypeAlias = WorkHandler[Any]


class WorkHandlers(Mapping[str, AnyHandler]):
    """The handlers of a process, by kind."""

    def __init__(self, handlers: Iterable[AnyHandler]) -> None:
        self._by_kind: dict[str, AnyHandler] = {}
        for handler in handlers:
            if handler.kind in self._by_kind:
                raise ValueError(f"Two handlers are registered for '{handler.kind}'.")
            self._by_kind[handler.kind] = handler

    def __getitem__(self, kind: str) -> AnyHandler:
        return self._by_kind[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_kind)

    def __len__(self) -> int:
        return len(self._by_kind)
