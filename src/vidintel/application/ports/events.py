"""Ports that carry events from the transaction that causes them to their subscribers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vidintel.domain.events import Event


class EventSubscriber(Protocol):
    """Receives events. `DeliverEvents` calls it; the container registers it."""

    @property
    def name(self) -> str:
        """Identifies the subscriber in the database, in logs and in metrics. It never changes."""
        ...

    @property
    def wants(self) -> Collection[str]:
        """The types of the events that it receives: members of `EventType`."""
        ...

    async def handle(self, batch: Sequence[Event]) -> None:
        """Handle ``batch``. The events of one subject come in the order in which they happened.

        Returning means that all of them are handled. An event may come again, with the same ``id``, after a crash or
        after an error in its batch. Raise `ServiceUnavailable` when no event can be handled at present. Any other
        exception counts as a failed attempt, see `DeliverEvents`.
        """
        ...


class Outbox(Protocol):
    """Stores the events of a transaction within that transaction."""

    async def add(self, event: Event) -> None:
        """Write ``event`` and a delivery for each subscriber of its type, and notify the workers at commit.

        Lock the row of the event's subject first: this lock orders the events of one subject. A second event with the
        same id is a programming error, and makes the transaction fail.
        """
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that one subscriber has not handled yet.

    ``attempts`` counts the failed ones; ``position`` is the event's place in the order of all events.
    """

    position: int
    event: Event
    attempts: int


@dataclass(frozen=True, slots=True)
class DeliveryBatch:
    """Deliveries that were claimed under a lease on their subscriber. ``token`` is the lease's fencing token."""

    subscriber: str
    token: int
    deliveries: Sequence[Delivery]


@dataclass(frozen=True, slots=True)
class FailedDelivery:
    """A failed attempt and its reason. The delivery is retried at ``retry_at``; ``None`` makes it a dead letter."""

    position: int
    reason: str
    retry_at: datetime | None


class EventDeliveries(Protocol):
    """The pending deliveries of each subscriber. One process at a time serves a subscriber, under a lease."""

    async def subscribe(self, subscriber: str, types: Collection[str], now: datetime) -> None:
        """From the commit of this transaction on, events of ``types`` are kept for ``subscriber``.

        Renew the subscription well within the retention time of `remove_old`.
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
        """Remove the ``delivered`` positions, store the ``failed`` attempts, and set the end of the lease.

        ``leased_until=now`` ends the lease. Raises `LeaseLost` when another process has the lease now.
        """
        ...

    async def remove_old(self, before: datetime, limit: int) -> int:
        """Remove obsolete rows, and return how many. When that is ``limit``, there may be more: call it again.

        Obsolete are subscriptions last renewed before ``before``, with their deliveries; deliveries that became dead
        letters before ``before``; and events created before ``before`` to which no delivery refers.
        """
        ...
