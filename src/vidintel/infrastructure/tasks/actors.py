"""Shared by all task engines: the queue, its messages, and the registration of the actor with a broker."""

from collections.abc import Callable
from uuid import UUID

import dramatiq
from dramatiq import Broker, Message

from vidintel.application.ports import DueWork
from vidintel.domain.work import WorkItemId

QUEUE = "work"
_ACTOR = "do_work"

Actor = Callable[[WorkItemId], None]
"""Runs the work item with that id, on a thread of the engine."""


def message_for(work: DueWork) -> Message[object]:
    return Message(queue_name=QUEUE, actor_name=_ACTOR, args=(str(work.id),), kwargs={}, options={})


def declare(broker: Broker, actor: Actor) -> None:
    """Register ``actor`` with ``broker``. One actor runs all kinds of work; the item's row has the kind.

    The option ``max_retries`` does not exist here: the brokers have no middleware, and the database schedules retries.
    """

    def run(work_id: str) -> None:
        actor(WorkItemId(UUID(work_id)))

    dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name=_ACTOR)(run)
