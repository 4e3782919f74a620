"""Events on their way from the transaction that makes them true to their subscribers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vidintel.domain.events import Event


class EventSubscriber(Protocol):
    """Something that is told of events. `DeliverEvents` calls it; the container registers it."""

    @property
    def name(self) -> str:
        """Identifies the subscriber in the database, in logs and in metrics. It never changes."""
        ...

    @property
    def wants(self) -> Collection[str]:
        """The types of the events that it is told of: members of `EventType`."""
        ...

    async def handle(self, batch: Sequence[Event]) -> None:
        """Deal with ``batch``. The events of one subject come in the order in which they happened.

        Returning means that all of them are dealt with. An event may come again, with the same ``id``: after a crash,
        and after an error in its batch. Raise `ServiceUnavailable` when nothing can be dealt with at present; any other
        exception counts against the events, see `DeliverEvents`.
        """
        ...


class Outbox(Protocol):
    """Where a transaction puts the events that it makes true."""

    async def add(self, event: Event) -> None:
        """Write ``event``, a delivery for each subscriber of its type, and a notification of these.

        Lock the row of the event's subject before: this is what orders the events of one subject. A second event with
        the same id is a programming error, and breaks the transaction.
        """
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that one subscriber has not dealt with. ``attempts`` have failed; ``position`` is its place in the order
    of all events."""

    position: int
    event: Event
    attempts: int


@dataclass(frozen=True, slots=True)
class DeliveryBatch:
    """Deliveries that were taken under a lease of their subscriber. ``token`` is the lease's fencing token."""

    subscriber: str
    token: int
    deliveries: Sequence[Delivery]


@dataclass(frozen=True, slots=True)
class FailedDelivery:
    """An attempt that failed, and why. It is due again at ``retry_at``; ``None`` makes it a dead letter."""

    position: int
    reason: str
    retry_at: datetime | None


class EventDeliveries(Protocol):
    """What each subscriber has still to be told. One process at a time serves a subscriber, under a lease."""

    async def subscribe(self, subscriber: str, types: Collection[str], now: datetime) -> None:
        """From the commit of this transaction on, events of ``types`` are kept for ``subscriber``.

        Repeat it well within the retention time of `remove_old`, as long as the types are wanted.
        """
        ...

    async def take(
        self, subscriber: str, types: Collection[str], *, now: datetime, leased_until: datetime, limit: int
    ) -> DeliveryBatch | None:
        """Lease the subscriber, and return up to ``limit`` due deliveries in the order of events.

        A subject whose earlier event waits for its next attempt is left out. Returns ``None``, and takes no lease, when
        nothing is due or another process has the lease.
        """
        ...

    async def settle(
        self,
        batch: DeliveryBatch,
        *,
        now: datetime,
        leased_until: datetime,
        delivered: Sequence[int] = (),
        failed: Sequence[FailedDelivery] = (),
    ) -> None:
        """Remove what was ``delivered`` (positions), note what ``failed``, and set the end of the lease.

        ``leased_until=now`` ends the lease. Raises `LeaseLost` when another process has taken the lease meanwhile.
        """
        ...

    async def remove_old(self, before: datetime, limit: int) -> int:
        """Remove what nobody needs any more and return how many rows that were; call again after ``limit``.

        That is: subscriptions that were last repeated ``before`` with their deliveries, dead letters that died
        ``before``, and events that were created ``before`` and that no delivery refers to.
        """
        ...
