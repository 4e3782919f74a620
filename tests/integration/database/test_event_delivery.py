"""What only a real server can show of events: transactions that overlap, and processes that read at the same moment."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from dependency_injector import providers
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.contracts.events_contract import add, make_event
from tests.support.factories import NOW, make_job, make_video
from tests.support.fakes import FakeClock
from vidintel.application.events.delivery import DeliverEvents, DeliveryRules
from vidintel.application.ports import UnitOfWorkFactory
from vidintel.container import Container
from vidintel.domain.analysis import JobStatus
from vidintel.domain.events import Event, EventType, Subject
from vidintel.domain.work import RetryPolicy
from vidintel.infrastructure.database.work_notifications import PostgresWorkNotifications
from vidintel.settings.model import Settings

LONG_S = 60.0
"""A time-out that means failure, not speed."""
RULES = DeliveryRules(handle_s=LONG_S, retry=RetryPolicy())


class EndsOfJobs:
    """A throw-away subscriber: this class and one registration are all that it takes."""

    name = "ends-of-jobs"
    wants = frozenset({EventType.JOB_SUCCEEDED, EventType.JOB_FAILED, EventType.JOB_CANCELLED})

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def handle(self, batch: Sequence[Event]) -> None:
        self.events.extend(batch)


async def test_a_subscriber_is_one_class_and_one_registration(
    unit_of_work: UnitOfWorkFactory, database_url: str, tmp_path: Path
) -> None:
    subscriber = EndsOfJobs()
    container = Container(
        settings=providers.Object(Settings(data_dir=tmp_path)), database_url=providers.Object(database_url)
    )
    container.event_subscribers.override(providers.List(providers.Object(subscriber)))
    (deliver,) = container.deliver_events()
    await deliver()
    job = make_job(status=JobStatus.SUCCEEDED)
    await add(unit_of_work, Event.video_uploaded(make_video(), NOW), Event.job_ended(job, NOW))

    assert await deliver() == 1
    assert subscriber.events == [Event.job_ended(job, NOW)]
    await container.engine().dispose()


async def test_an_event_is_not_lost_whose_transaction_commits_after_a_later_one_was_read(
    unit_of_work: UnitOfWorkFactory, engine: AsyncEngine
) -> None:
    subscriber = EndsOfJobs()
    deliver = DeliverEvents(unit_of_work, subscriber, FakeClock(NOW), RULES)
    await deliver()
    early, late = make_event(), make_event()

    async with unit_of_work() as slow:
        await slow.outbox.add(early)
        await add(unit_of_work, late)
        assert await deliver() == 1, "and a transaction that takes long delays nobody"
        await slow.commit()
    assert await deliver() == 1

    assert subscriber.events == [late, early]
    async with engine.connect() as connection:
        positions = (await connection.execute(text("SELECT id FROM outbox ORDER BY position"))).scalars().all()
    assert positions == [early.id, late.id]


async def test_events_of_one_subject_keep_their_order_when_the_first_transaction_waited_for_the_second(
    unit_of_work: UnitOfWorkFactory,
) -> None:
    """Transaction ids are given out before the lock, and would order these two the wrong way round."""
    subscriber = EndsOfJobs()
    deliver = DeliverEvents(unit_of_work, subscriber, FakeClock(NOW), RULES)
    await deliver()
    video = make_video()
    async with unit_of_work() as uow:
        await uow.videos.add(video)
        await uow.commit()
    subject = Subject("video", video.id)
    first, second = make_event(subject=subject), make_event(subject=subject)

    async with unit_of_work() as waiting, unit_of_work() as working, asyncio.timeout(LONG_S):
        await waiting.outbox.add(make_event(EventType.VIDEO_UPLOADED))  # this one has its transaction id first
        await working.videos.get_for_update(video.tenant_id, video.id)
        await working.outbox.add(first)
        locking = asyncio.create_task(waiting.videos.get_for_update(video.tenant_id, video.id))
        await working.commit()
        await locking
        await waiting.outbox.add(second)
        await waiting.commit()
    await deliver()

    assert subscriber.events == [first, second]


async def test_processes_that_read_at_the_same_moment_deliver_everything_once_and_in_order(
    unit_of_work: UnitOfWorkFactory,
) -> None:
    subscriber = EndsOfJobs()
    processes = [DeliverEvents(unit_of_work, subscriber, FakeClock(NOW), RULES) for _ in range(4)]
    await asyncio.gather(*(deliver() for deliver in processes))
    events = [make_event() for _ in range(300)]
    await add(unit_of_work, *events)

    counts = [0]
    while sum(counts) < len(events):
        counts += await asyncio.gather(*(deliver() for deliver in processes))

    assert subscriber.events == events


async def test_an_event_for_a_subscriber_wakes_the_workers_and_one_for_nobody_does_not(
    unit_of_work: UnitOfWorkFactory, database_url: str
) -> None:
    async with unit_of_work() as uow:
        await uow.event_deliveries.subscribe("reader", EndsOfJobs.wants, NOW)
        await uow.commit()
    async with PostgresWorkNotifications(database_url).listening() as notifications, asyncio.timeout(LONG_S):
        await notifications.wait(LONG_S)  # the first connection counts as a notification
        await add(unit_of_work, make_event(EventType.VIDEO_UPLOADED))
        waiting = asyncio.create_task(notifications.wait(LONG_S))
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        await add(unit_of_work, make_event())
        await waiting
