"""How events reach a subscriber, and what happens when it cannot deal with them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.contracts.events_contract import add, make_event, waiting
from tests.support.factories import NOW
from tests.support.fakes import FakeClock, InMemoryDatabase
from tests.unit.application.world import World, principal, value_of
from vidintel.application.events.delivery import DeliverEvents, DeliveryRules, RemoveEvents
from vidintel.application.jobs.work import PLAN
from vidintel.domain.errors import ServiceUnavailable
from vidintel.domain.events import Event, EventType, Subject
from vidintel.domain.work import RetryPolicy

ATTEMPTS = 3
LONG_S = 60.0


async def accept(_: Sequence[Event]) -> None: ...


class Reader:
    """Wants every event and keeps those that ``on_handle`` lets pass."""

    name = "reader"
    wants = frozenset(EventType)

    def __init__(self) -> None:
        self.batches: list[Sequence[Event]] = []
        self.on_handle: Callable[[Sequence[Event]], Awaitable[None]] = accept

    async def handle(self, batch: Sequence[Event]) -> None:
        await self.on_handle(batch)
        self.batches.append(batch)

    @property
    def events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch]

    def refuse(self, *poison: Event) -> None:
        async def refusing(batch: Sequence[Event]) -> None:
            if any(event in poison for event in batch):
                raise ZeroDivisionError("a\x00b")

        self.on_handle = refusing


class Place:
    """A database with one subscriber, which has subscribed."""

    def __init__(self, *, handle_s: float = LONG_S) -> None:
        self.database = InMemoryDatabase()
        self.unit_of_work = self.database.unit_of_work
        self.clock = FakeClock(NOW)
        self.reader = Reader()
        retry = RetryPolicy(max_attempts=ATTEMPTS, base_s=10.0, cap_s=60.0)
        self.rules = DeliveryRules(handle_s=handle_s, retry=retry)
        self.deliver = self.process()

    def process(self) -> DeliverEvents:
        return DeliverEvents(self.unit_of_work, self.reader, self.clock, self.rules)

    async def holding(self, *events: Event) -> "Place":
        await self.deliver()
        await add(self.unit_of_work, *events)
        return self


async def test_what_happened_is_told_in_order_in_bounded_batches_and_once() -> None:
    events = [make_event() for _ in range(250)]
    place = await Place().holding(*events)

    assert await place.deliver() == 250
    assert await place.deliver() == 0

    assert place.reader.events == events
    assert [len(batch) for batch in place.reader.batches] == [100, 100, 50]
    assert place.database.notifications == 1


async def test_an_event_that_cannot_be_dealt_with_holds_up_its_own_subject_only() -> None:
    subject = Subject("job", uuid4())
    first, poison, second = (make_event(subject=subject) for _ in range(3))
    other = make_event()
    place = await Place().holding(first, poison, second, other)
    place.reader.refuse(poison)

    assert await place.deliver() == 2
    assert place.reader.events == [first, other]
    assert await place.deliver() == 0, "its time has not come"

    place.reader.on_handle = accept
    place.clock.advance(10.0)
    assert await place.deliver() == 2
    assert place.reader.events == [first, other, poison, second]


async def test_a_poison_event_becomes_a_dead_letter_with_a_reason_and_its_subject_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    poison = make_event()
    second = make_event(subject=poison.subject)
    place = await Place().holding(poison, second)
    place.reader.refuse(poison)

    for delay_s in (0.0, 10.0, 20.0):
        assert place.reader.events == []
        place.clock.advance(delay_s)
        await place.deliver()

    assert place.reader.events == [second]
    (dead,) = place.database.event_deliveries.values()
    assert (dead.attempts, dead.failure) == (ATTEMPTS, "ZeroDivisionError: ab")
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["event.dead_lettered"]


async def test_a_subscriber_that_hangs_loses_an_attempt_at_the_event_that_it_hangs_on() -> None:
    hanging, other = make_event(), make_event()
    place = await Place(handle_s=0.05).holding(hanging, other)

    async def hang(batch: Sequence[Event]) -> None:
        if hanging in batch:
            await asyncio.Event().wait()

    place.reader.on_handle = hang
    await place.deliver()

    assert place.reader.events == [other]
    (delivery,) = place.database.event_deliveries.values()
    assert (delivery.attempts, (delivery.failure or "")[:28]) == (1, "The subscriber took longer t")


async def test_an_outage_uses_no_attempt_and_the_next_call_goes_on() -> None:
    events = [make_event(), make_event()]
    place = await Place().holding(*events)

    async def away(_: Sequence[Event]) -> None:
        raise ServiceUnavailable("It is away.")

    place.reader.on_handle = away
    for _ in range(ATTEMPTS + 1):
        assert await place.deliver() == 0
    assert [row.attempts for row in place.database.event_deliveries.values()] == [0, 0]

    place.reader.on_handle = accept
    assert await place.deliver() == 2


async def test_a_process_that_ends_hands_over_at_once() -> None:
    event = make_event()
    place = await Place().holding(event)
    called = asyncio.Event()

    async def hang(_: Sequence[Event]) -> None:
        called.set()
        await asyncio.Event().wait()

    place.reader.on_handle = hang
    ending = asyncio.create_task(place.deliver())
    await called.wait()
    assert await place.process()() == 0, "one process at a time"
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending

    place.reader.on_handle = accept
    assert await place.process()() == 1
    assert place.reader.events == [event]


async def test_a_process_that_was_silent_for_too_long_does_not_undo_what_the_next_one_did() -> None:
    event, later = make_event(), make_event()
    place = await Place().holding(event)

    async def sleep_long(_: Sequence[Event]) -> None:
        place.reader.on_handle = accept
        place.clock.advance(LONG_S + 10)
        await add(place.unit_of_work, later)
        assert await place.process()() == 2

    place.reader.on_handle = sleep_long

    assert await place.deliver() == 0
    assert place.reader.events == [event, later, event], "at least once"
    assert place.database.event_deliveries == {}


async def test_a_subscription_is_renewed_for_as_long_as_a_process_serves_it() -> None:
    place = await Place().holding()
    remove = RemoveEvents(place.unit_of_work, place.clock, keep=timedelta(hours=3))
    for _ in range(10):
        place.clock.advance(3600)
        await place.deliver()
        await remove()
    event = make_event(now=place.clock.now())
    await add(place.unit_of_work, event)

    assert await waiting(place.unit_of_work, now=place.clock.now()) == [event]


async def test_events_that_nobody_wants_are_removed_after_their_time() -> None:
    database, clock = InMemoryDatabase(), FakeClock(NOW)
    remove = RemoveEvents(database.unit_of_work, clock, keep=timedelta(days=7))
    await add(database.unit_of_work, *(make_event() for _ in range(2_500)))

    clock.advance(timedelta(days=7).total_seconds())
    assert await remove() == 0
    clock.advance(timedelta(minutes=1).total_seconds())
    assert await remove() == 0, "not again within ten minutes"
    clock.advance(timedelta(minutes=10).total_seconds())
    assert await remove() == 2_500
    assert database.outbox == {}


async def test_the_life_of_a_video_is_told() -> None:
    world = World()
    video = (await world.registered()).video
    await world.work_off()
    value_of(await world.delete(principal(), video.id))

    assert [(event.type, event.payload["video_id"]) for event in world.database.outbox.values()] == [
        (type_, str(video.id)) for type_ in ("video.uploaded", "job.started", "job.succeeded", "video.deleted")
    ]


async def test_a_job_that_is_planned_again_does_not_start_again() -> None:
    world = World()
    job = (await world.registered()).job.job
    await world.die_with(world.item(PLAN, job.id), "doomed")
    world.clock.advance(3600)
    await world.reclaim()
    world.clock.advance(3600)
    await world.work_off()

    types = [event.type for event in world.database.outbox.values()]
    assert types == ["video.uploaded", "job.started", "job.succeeded"]
