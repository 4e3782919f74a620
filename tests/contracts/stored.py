"""Writing and reading entities in contract tests, and comparing all of their state."""

from dataclasses import fields

from tests.support.factories import make_job
from vidintel.application.ports import UnitOfWork, UnitOfWorkFactory
from vidintel.domain.analysis import AnalysisJob, JobStatus
from vidintel.domain.detection import FrameDetections
from vidintel.domain.segment import Segment
from vidintel.domain.video import Video


async def keep(unit_of_work: UnitOfWorkFactory, *entities: Video | AnalysisJob | Segment) -> None:
    """Add the entities, in the order given, and commit."""
    async with unit_of_work() as uow:
        for entity in entities:
            match entity:
                case Video():
                    await uow.videos.add(entity)
                case AnalysisJob():
                    await uow.jobs.add(entity)
                case Segment():
                    await uow.segments.add_all([entity])
        await uow.commit()


def with_current_job(video: Video) -> list[Video | AnalysisJob]:
    """``video`` and its current job, if it has one: the two can only be stored together."""
    if video.current_job_id is None:
        return [video]
    return [video, make_job(video=video, status=JobStatus.SUCCEEDED, job_id=video.current_job_id)]


async def reload_video(unit_of_work: UnitOfWorkFactory, video: Video) -> Video:
    async with unit_of_work() as uow:
        found = await uow.videos.get(video.tenant_id, video.id)
    assert found is not None
    return found


async def reload_job(unit_of_work: UnitOfWorkFactory, job: AnalysisJob) -> AnalysisJob:
    async with unit_of_work() as uow:
        found = await uow.jobs.get(job.tenant_id, job.id)
        peeked = await uow.jobs.peek(job.id)
    assert found is not None
    assert peeked is not None
    assert state_of(found) == state_of(peeked)
    return found


async def reload_segment(unit_of_work: UnitOfWorkFactory, segment: Segment) -> Segment:
    async with unit_of_work() as uow:
        found = await uow.segments.peek(segment.id)
    assert found is not None
    return found


async def frames_of(uow: UnitOfWork, job: AnalysisJob, limit: int = 1_000) -> list[FrameDetections]:
    """All frames of the job that have detections, read ``limit`` detections at a time."""
    found: list[FrameDetections] = []
    while batch := await uow.detections.frames(job.id, after=found[-1].frame if found else -1, limit=limit):
        found += batch
    return found


def state_of(entity: Video | AnalysisJob | Segment) -> dict[str, object]:
    """Every field by name, private ones included, so that a field the mappers forget is noticed."""
    return {field.name: getattr(entity, field.name) for field in fields(entity)}
