"""What every `UnitOfWork` does with events and their deliveries."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from tests.support.completeness import assert_complete
from tests.support.factories import NOW, make_job, make_video
from vidintel.application.ports import DeliveryBatch, FailedDelivery, UnitOfWorkFactory
from vidintel.domain.analysis import JobStatus
from vidintel.domain.errors import LeaseLost
from vidintel.domain.events import Event, EventType, Subject
from vidintel.domain.identity import TenantId

SOON = NOW + timedelta(minutes=1)
LATER = NOW + timedelta(days=1)
ALL = frozenset(EventType)
ENDS = {EventType.JOB_SUCCEEDED, EventType.JOB_FAILED, EventType.JOB_CANCELLED}


def make_event(type_: str = EventType.JOB_SUCCEEDED, *, subject: Subject | None = None, now: datetime = NOW) -> Event:
    """An event that differs from every default in every field."""
    payload: dict[str, object] = {"number": 1.5, "nothing": None, "nested": {"text": "ä€", "list": [True, 2]}}
    subject = subject or Subject(type_.split(".")[0], uuid4())
    return Event(uuid4(), type_, 3, TenantId("org_other"), subject, payload, now)


async def subscribe(
    unit_of_work: UnitOfWorkFactory, subscriber: str = "reader", types: Collection[str] = ALL, now: datetime = NOW
) -> None:
    async with unit_of_work() as uow:
        await uow.event_deliveries.subscribe(subscriber, types, now)
        await uow.commit()


async def add(unit_of_work: UnitOfWorkFactory, *events: Event) -> None:
    async with unit_of_work() as uow:
        for event in events:
            await uow.outbox.add(event)
        await uow.commit()


async def take(
    unit_of_work: UnitOfWorkFactory,
    subscriber: str = "reader",
    types: Collection[str] = ALL,
    *,
    now: datetime = NOW,
    limit: int = 10,
) -> DeliveryBatch | None:
    async with unit_of_work() as uow:
        batch = await uow.event_deliveries.take(subscriber, types, now=now, leased_until=now + LEASE, limit=limit)
        await uow.commit()
        return batch


async def settle(
    unit_of_work: UnitOfWorkFactory,
    batch: DeliveryBatch,
    *,
    delivered: int | None = None,
    failed: Sequence[FailedDelivery] = (),
    now: datetime = NOW,
    leased_until: datetime | None = None,
) -> None:
    """``delivered`` is how many of the batch, from its head on; all when left out."""
    positions = [each.position for each in batch.deliveries]
    async with unit_of_work() as uow:
        await uow.event_deliveries.settle(
            batch, now=now, leased_until=leased_until or now, delivered=positions[:delivered], failed=failed
        )
        await uow.commit()


async def waiting(
    unit_of_work: UnitOfWorkFactory, subscriber: str = "reader", *, now: datetime = NOW
) -> Sequence[Event]:
    """What the subscriber would be given, without taking it."""
    async with unit_of_work() as uow:
        batch = await uow.event_deliveries.take(subscriber, ALL, now=now, leased_until=now, limit=100)
    return [] if batch is None else [each.event for each in batch.deliveries]


LEASE = timedelta(seconds=30)


class EventContract:
    async def test_an_event_reaches_its_subscriber_as_it_was_written(self, unit_of_work: UnitOfWorkFactory) -> None:
        events = [
            make_event(),
            Event.video_uploaded(make_video(), NOW),
            Event.job_ended(make_job(status=JobStatus.FAILED), NOW),
        ]
        await subscribe(unit_of_work)
        await add(unit_of_work, *events)

        batch = await take(unit_of_work)

        assert batch is not None
        assert_complete(events[0])
        assert [each.event for each in batch.deliveries] == events
        assert [each.attempts for each in batch.deliveries] == [0, 0, 0]

    async def test_each_subscriber_is_told_of_the_types_it_wants_and_reads_at_its_own_pace(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        await subscribe(unit_of_work, "all")
        await subscribe(unit_of_work, "ends", ENDS)
        first, second = make_event(EventType.VIDEO_UPLOADED), make_event(EventType.JOB_FAILED)
        await add(unit_of_work, first, second)

        ends = await take(unit_of_work, "ends")
        assert ends is not None
        await settle(unit_of_work, ends)

        assert await waiting(unit_of_work, "ends") == []
        assert await waiting(unit_of_work, "all") == [first, second]

    async def test_a_subscriber_begins_with_the_events_after_its_subscription(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        await add(unit_of_work, make_event())
        assert await take(unit_of_work) is None
        await subscribe(unit_of_work)
        event = make_event()
        await add(unit_of_work, event)
        await subscribe(unit_of_work)

        assert await waiting(unit_of_work) == [event]

    async def test_what_is_rolled_back_is_not_delivered(self, unit_of_work: UnitOfWorkFactory) -> None:
        await subscribe(unit_of_work)
        async with unit_of_work() as uow:
            await uow.outbox.add(make_event())

        assert await take(unit_of_work) is None

    async def test_an_event_that_is_added_twice_breaks_the_transaction(self, unit_of_work: UnitOfWorkFactory) -> None:
        event = Event.job_ended(make_job(status=JobStatus.FAILED), NOW)
        await add(unit_of_work, event)

        with pytest.raises((IntegrityError, AssertionError)):
            await add(unit_of_work, make_event(), event)

    async def test_one_process_at_a_time_serves_a_subscriber(self, unit_of_work: UnitOfWorkFactory) -> None:
        await subscribe(unit_of_work)
        await add(unit_of_work, make_event(), make_event())

        held = await take(unit_of_work, limit=1)
        assert held is not None
        assert await take(unit_of_work) is None
        await settle(unit_of_work, held, leased_until=SOON)
        assert await take(unit_of_work) is None
        await settle(unit_of_work, held)

        rest = await take(unit_of_work)
        assert rest is not None
        assert len(rest.deliveries) == 1

    async def test_who_lost_the_lease_changes_nothing_any_more(self, unit_of_work: UnitOfWorkFactory) -> None:
        await subscribe(unit_of_work)
        await add(unit_of_work, make_event())
        late = await take(unit_of_work)
        assert late is not None
        current = await take(unit_of_work, now=NOW + LEASE)
        assert current is not None

        with pytest.raises(LeaseLost):
            await settle(unit_of_work, late, now=NOW + LEASE)

        await settle(unit_of_work, current, delivered=0, now=NOW + LEASE)
        assert len(await waiting(unit_of_work, now=NOW + LEASE)) == 1

    async def test_later_events_of_a_subject_wait_for_the_one_that_failed_and_others_go_on(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        await subscribe(unit_of_work)
        subject = Subject("job", uuid4())
        first, other, second = make_event(subject=subject), make_event(), make_event(subject=subject)
        await add(unit_of_work, first, other, second)
        batch = await take(unit_of_work)
        assert batch is not None

        failed = [FailedDelivery(batch.deliveries[0].position, "No.", SOON)]
        await settle(unit_of_work, batch, delivered=0, failed=failed)

        assert await waiting(unit_of_work) == [other]
        again = await take(unit_of_work, now=SOON)
        assert again is not None
        assert [(each.event, each.attempts) for each in again.deliveries] == [(first, 1), (other, 0), (second, 0)]

    async def test_a_dead_letter_is_not_delivered_again_and_its_subject_goes_on(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        await subscribe(unit_of_work)
        first = make_event()
        second = make_event(subject=first.subject)
        await add(unit_of_work, first, second)
        batch = await take(unit_of_work, limit=1)
        assert batch is not None

        await settle(
            unit_of_work, batch, delivered=0, failed=[FailedDelivery(batch.deliveries[0].position, "Never.", None)]
        )

        assert await waiting(unit_of_work, now=LATER) == [second]

    async def test_a_process_takes_only_types_that_it_knows(self, unit_of_work: UnitOfWorkFactory) -> None:
        await subscribe(unit_of_work, types={"job.succeeded", "rule.fired"})
        newer, known = make_event("rule.fired"), make_event()
        await add(unit_of_work, newer, known)

        batch = await take(unit_of_work, types={"job.succeeded"})

        assert batch is not None
        assert [each.event for each in batch.deliveries] == [known]

    async def test_events_are_removed_when_they_are_old_and_nobody_is_still_to_be_told(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        unwanted = make_event(EventType.VIDEO_DELETED)
        await subscribe(unit_of_work, types=ENDS)
        await add(unit_of_work, unwanted, make_event(), make_event(now=LATER))

        async def removed() -> int:
            await subscribe(unit_of_work, types=ENDS, now=LATER)
            async with unit_of_work() as uow:
                count = await uow.event_deliveries.remove_old(SOON, 10)
                await uow.commit()
                return count

        assert await removed() == 1, "the one that nobody wants"
        with pytest.raises((IntegrityError, AssertionError)):  # the others are there
            await add(unit_of_work, *(await waiting(unit_of_work, now=LATER)))
        batch = await take(unit_of_work, now=LATER)
        assert batch is not None
        await settle(unit_of_work, batch, now=LATER)
        assert await removed() == 1, "the other one is not old"

    async def test_removing_is_bounded(self, unit_of_work: UnitOfWorkFactory) -> None:
        await add(unit_of_work, *(make_event() for _ in range(5)))

        counts = []
        for _ in range(3):
            async with unit_of_work() as uow:
                counts.append(await uow.event_deliveries.remove_old(SOON, 2))
                await uow.commit()

        assert counts == [2, 2, 1]

    async def test_old_dead_letters_and_subscribers_that_are_gone_keep_no_event(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        await subscribe(unit_of_work, "gone")
        await subscribe(unit_of_work, "reader")
        await add(unit_of_work, make_event())
        batch = await take(unit_of_work)
        assert batch is not None
        await settle(
            unit_of_work, batch, delivered=0, failed=[FailedDelivery(batch.deliveries[0].position, "Never.", None)]
        )
        await subscribe(unit_of_work, "reader", now=LATER)

        async with unit_of_work() as uow:
            # Six subscriptions of the one that is gone, its delivery, the dead letter, and the event.
            assert await uow.event_deliveries.remove_old(SOON, 100) == len(EventType) + 3
            await uow.commit()
        assert await waiting(unit_of_work, "gone", now=LATER) == []
