"""What every task engine shares: names, messages, and how the actors are put on a broker."""

from collections.abc import Callable, Iterable, Mapping

import dramatiq
from dramatiq import Broker, Message

from vidintel.application.ports import DueWork
from vidintel.domain.analysis import JobStage

QUEUE = "work"
ACTORS: Mapping[JobStage, str] = {
    JobStage.PLAN: "plan_job",
    JobStage.ANALYSE: "run_segment",
    JobStage.FINISH: "finish_job",
}

Actor = Callable[[str], None]
"""Does the work with that id, on a thread of the engine. Its name is one of `ACTORS`."""


def message_for(work: DueWork) -> Message[object]:
    return Message(queue_name=QUEUE, actor_name=ACTORS[work.stage], args=(str(work.id),), kwargs={}, options={})


def declare(broker: Broker, actors: Iterable[Actor], around: Callable[[Actor, str], None]) -> None:
    """Put ``actors`` on ``broker``; ``around`` is given an actor and an id, and calls the one with the other.

    ``max_retries`` does not exist here: brokers have no middleware, retries live in the database.
    """
    for actor in actors:
        dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name=actor.__name__)(_wrapped(actor, around))


def _wrapped(actor: Actor, around: Callable[[Actor, str], None]) -> Actor:
    def run(work_id: str) -> None:
        around(actor, work_id)

    return run
