"""The contracts on the real server."""

from tests.contracts import answers_contract as answers
from tests.contracts import persistence_contract as entities
from tests.contracts import results_contract as results
from tests.contracts import work_items_contract as work_items
from tests.contracts.events_contract import EventContract


class TestVideosInPostgres(entities.VideoContract): ...


class TestExpiryInPostgres(entities.ExpiryContract): ...


class TestJobsInPostgres(entities.JobContract): ...


class TestSegmentsInPostgres(entities.SegmentContract): ...


class TestDetectionsInPostgres(answers.DetectionContract): ...


class TestTracksInPostgres(answers.TrackContract): ...


class TestSnapshotsInPostgres(answers.SnapshotContract): ...


class TestResultsInPostgres(results.ResultContract): ...


class TestObjectDeletionsInPostgres(answers.ObjectDeletionContract): ...


class TestEventsInPostgres(EventContract): ...


class TestWorkItemsInPostgres(work_items.WorkItemContract): ...


class TestTransactionsInPostgres(answers.TransactionContract): ...
