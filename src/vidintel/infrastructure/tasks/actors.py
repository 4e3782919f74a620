"""What every task engine shares: the queue, its messages, and how the actor is put on a broker."""

from collections.abc import Callable
from uuid import UUID

import dramatiq
from dramatiq import Broker, Message

from vidintel.application.ports import DueWork
from vidintel.domain.work import WorkItemId

QUEUE = "work"
_ACTOR = "do_work"

Actor = Callable[[WorkItemId], None]
"""Does the work with that id, on a thread of the engine."""


def message_for(work: DueWork) -> Message[object]:
    return Message(queue_name=QUEUE, actor_name=_ACTOR, args=(str(work.id),), kwargs={}, options={})


def declare(broker: Broker, actor: Actor) -> None:
    """Put ``actor`` on ``broker``. One actor does all kinds of work: the item's row tells which.

    ``max_retries`` does not exist here: brokers have no middleware, retries live in the database.
    """

    def run(work_id: str) -> None:
        actor(WorkItemId(UUID(work_id)))

    dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name=_ACTOR)(run)
