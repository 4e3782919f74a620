"""The cause of a job, kept in its row, and found again by whoever works for it."""

from uuid import uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.factories import make_job, make_segment, make_video
from vidintel.application.ports import Cause, NoTracing, WorkContext
from vidintel.domain.analysis import JobStatus
from vidintel.infrastructure.database.engine import create_engine, create_session_factory
from vidintel.infrastructure.database.unit_of_work import SqlUnitOfWork
from vidintel.infrastructure.database.work_contexts import SqlWorkContexts, current_cause
from vidintel.settings.model import DatabaseSettings

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_a_job_and_its_segments_know_the_request_that_caused_them(engine: AsyncEngine) -> None:
    cause = Cause("request-1", TRACEPARENT)
    video = make_video()
    job = make_job(video=video, status=JobStatus.RUNNING)
    segment = make_segment(job=job)
    async with SqlUnitOfWork(create_session_factory(engine), cause=lambda: cause) as uow:
        await uow.videos.add(video)
        await uow.jobs.add(job)
        await uow.segments.add_all([segment])
        await uow.commit()

    contexts = SqlWorkContexts(engine)

    expected = WorkContext(video.tenant_id, video.id, job.id, cause)
    assert await contexts.of(job.id) == expected
    assert await contexts.of(segment.id) == expected
    assert await contexts.of(uuid4()) is None


async def test_saving_a_job_without_a_request_keeps_its_cause(engine: AsyncEngine) -> None:
    video, sessions = make_video(), create_session_factory(engine)
    job = make_job(video=video)
    async with SqlUnitOfWork(sessions, cause=lambda: Cause("request-1", TRACEPARENT)) as uow:
        await uow.videos.add(video)
        await uow.jobs.add(job)
        await uow.commit()
    async with SqlUnitOfWork(sessions) as uow:
        await uow.jobs.save(job)
        await uow.commit()

    found = await SqlWorkContexts(engine).of(job.id)

    assert found is not None
    assert found.cause == Cause("request-1", TRACEPARENT)


async def test_a_database_that_is_down_only_costs_the_context() -> None:
    engine = create_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none", DatabaseSettings(), pooled=False)

    with structlog.testing.capture_logs() as lines:
        assert await SqlWorkContexts(engine).of(uuid4()) is None

    assert [line["event"] for line in lines] == ["work.context_unknown"]


def test_the_cause_is_the_request_of_the_log_lines() -> None:
    assert current_cause(NoTracing()) == Cause()
    with structlog.contextvars.bound_contextvars(request_id="request-1"):
        assert current_cause(NoTracing()) == Cause("request-1", None)
