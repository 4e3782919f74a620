"""The fakes do what the real adapters do."""

from collections.abc import Callable

import pytest

from tests.contracts import answers_contract as answers
from tests.contracts import persistence_contract as entities
from tests.contracts import results_contract as results
from tests.contracts import work_items_contract as work_items
from tests.contracts.events_contract import EventContract
from tests.support.fakes import InMemoryDatabase, InMemoryUnitOfWork
from vidintel.application.ports import UnitOfWorkFactory


@pytest.fixture
def database() -> InMemoryDatabase:
    return InMemoryDatabase()


@pytest.fixture
def unit_of_work(database: InMemoryDatabase) -> Callable[[], InMemoryUnitOfWork]:
    return database.unit_of_work


class TestVideosInMemory(entities.VideoContract): ...


class TestExpiryInMemory(entities.ExpiryContract): ...


class TestJobsInMemory(entities.JobContract): ...


class TestSegmentsInMemory(entities.SegmentContract): ...


class TestDetectionsInMemory(answers.DetectionContract): ...


class TestTracksInMemory(answers.TrackContract): ...


class TestSnapshotsInMemory(answers.SnapshotContract): ...


class TestResultsInMemory(results.ResultContract): ...


class TestObjectDeletionsInMemory(answers.ObjectDeletionContract): ...


class TestEventsInMemory(EventContract): ...


class TestWorkItemsInMemory(work_items.WorkItemContract): ...


class TestTransactionsInMemory(answers.TransactionContract):
    async def test_a_ring_is_heard_with_its_commit_only(
        self, unit_of_work: UnitOfWorkFactory, database: InMemoryDatabase
    ) -> None:
        async with unit_of_work() as uow:
            await uow.notify_work()
        assert database.notifications == 0

        async with unit_of_work() as uow:
            await uow.notify_work()
            await uow.notify_work()
            await uow.commit()
        assert (database.notifications, database.commits) == (1, 1)
