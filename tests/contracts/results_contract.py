"""What every `ResultRepository` does. A subclass per adapter gives the ``unit_of_work`` fixture."""

from dataclasses import fields, replace

import pytest

from tests.contracts.stored import keep
from tests.support.factories import RESULTS, TENANT, make_job, make_video
from vidintel.application.ports import UnitOfWorkFactory
from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.analytics import MinimumTrack
from vidintel.domain.identity import TenantId
from vidintel.domain.results import JobResults, JobSnapshots, JobSummary, JobTimeline

NOTHING_SEEN = JobResults(
    summary=JobSummary(
        frames_analysed=7,
        frames_reused=0,
        detections=0,
        unique_tracks=0,
        busiest=None,
        labels={},
        line_crossings=(),
        zones=(),
        minimum_track=MinimumTrack(),
        warnings=(),
    ),
    timeline=JobTimeline(join_gap_s=1.0, labels={}, shot_changes=(), shot_change_method="hsv_histogram"),
    snapshots=JobSnapshots(poster_s=None, preview_s=(), shots=()),
)


class ResultContract:
    @pytest.mark.parametrize(
        "results", [RESULTS, NOTHING_SEEN, JobResults()], ids=["all", "nothing seen", "no results"]
    )
    async def test_results_are_read_back_as_they_were(
        self, unit_of_work: UnitOfWorkFactory, results: JobResults
    ) -> None:
        job = await _job(unit_of_work)
        await _put(unit_of_work, job, results)

        assert await _read(unit_of_work, job) == results

    @pytest.mark.parametrize("kind", [kind.name for kind in fields(JobResults)])
    async def test_each_kind_is_replaced_alone(self, unit_of_work: UnitOfWorkFactory, kind: str) -> None:
        job = await _job(unit_of_work)
        one = replace(JobResults(), **{kind: getattr(RESULTS, kind)})

        await _put(unit_of_work, job, one)
        assert await _read(unit_of_work, job) == one
        await _put(unit_of_work, job, NOTHING_SEEN)
        await _put(unit_of_work, job, one)
        assert await _read(unit_of_work, job) == replace(NOTHING_SEEN, **{kind: getattr(RESULTS, kind)})

    async def test_another_tenant_and_another_job_see_none(self, unit_of_work: UnitOfWorkFactory) -> None:
        job, other = await _job(unit_of_work), await _job(unit_of_work)
        await _put(unit_of_work, job, RESULTS)

        async with unit_of_work() as uow:
            assert await uow.results.of_job(TenantId("org_stranger"), job.id) == JobResults()
        assert await _read(unit_of_work, other) == JobResults()


async def _job(unit_of_work: UnitOfWorkFactory) -> AnalysisJob:
    video = make_video()
    job = make_job(video=video, status=JobStatus.RUNNING)
    await keep(unit_of_work, video, job)
    return job


async def _put(unit_of_work: UnitOfWorkFactory, job: AnalysisJob, results: JobResults) -> None:
    async with unit_of_work() as uow:
        await uow.results.put(job, results)
        await uow.commit()


async def _read(unit_of_work: UnitOfWorkFactory, job: AnalysisJob) -> JobResults:
    async with unit_of_work() as uow:
        return await uow.results.of_job(TENANT, job.id)
