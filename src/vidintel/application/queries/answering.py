"""Selects the job whose results a request gets, and pages through lists of that job's results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from vidintel.application.ports import Page, UnitOfWork
from vidintel.application.videos.lookup import video_of
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.errors import JobNotFound, ResultNotFound, ValidationError
from vidintel.domain.identity import Principal
from vidintel.domain.video import Video, VideoId

T = TypeVar("T")


@dataclass(frozen=True)
class AnswerPage(Generic[T]):
    """One page of results of ``job``. ``captured_at`` is the wall-clock time of the video's second 0, when known."""

    job: AnalysisJob
    captured_at: datetime | None
    items: Sequence[T]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class JobList:
    """A list of results of one job. The cursor names the job, so all pages come from the job of the first page.

    ``page`` is the page to request from the repository.
    """

    video: Video
    job: AnalysisJob
    page: Page

    @classmethod
    async def open(
        cls, uow: UnitOfWork, principal: Principal, video_id: VideoId, job_id: JobId | None, page: Page
    ) -> "JobList":
        """Raises `VideoNotFound`, `ResultNotFound`, `JobNotFound`, and `ValidationError` for a bad cursor."""
        video = await video_of(uow, principal, video_id)
        of_job, rest = _resumed(job_id, page)
        return cls(video, await answering_job(uow, video, of_job), rest)

    def answer(self, found: tuple[Sequence[T], str | None]) -> AnswerPage[T]:
        """The page made of what the repository ``found``."""
        items, cursor = found
        next_cursor = None if cursor is None else f"{self.job.id.hex}.{cursor}"
        return AnswerPage(self.job, self.video.captured_at, items, next_cursor)


async def answering_job(uow: UnitOfWork, video: Video, job_id: JobId | None) -> AnalysisJob:
    """The named job of ``video``; else its current job; else, before the first one is published, its newest.

    So during the first analysis of a video, requests get what its job has found so far. Raises `JobNotFound` for
    another video's job, and `ResultNotFound` for a video without jobs.
    """
    wanted = video.current_job_id if job_id is None else job_id
    if wanted is None:
        newest = await uow.jobs.latest_of_video(video.tenant_id, video.id)
        if newest is None:
            raise ResultNotFound("This video has no job. Start an analysis of it.")
        return newest
    job = await uow.jobs.get(video.tenant_id, wanted)
    if job is None or job.video_id != video.id:
        raise JobNotFound(wanted)
    return job


def _resumed(job_id: JobId | None, page: Page) -> tuple[JobId | None, Page]:
    """The job that the cursor names: every page is of the job of the first one, even if another succeeded since."""
    if page.cursor is None:
        return job_id, page
    named, _, rest = page.cursor.partition(".")
    try:
        of_job = JobId(UUID(hex=named))
    except ValueError:
        raise ValidationError(
            "The cursor is not valid. Use next_cursor of the previous page unchanged.", field="cursor"
        ) from None
    if job_id not in {None, of_job}:
        raise ValidationError(
            "The cursor belongs to the list of another job. Omit job_id, or give the one of the first page.",
            field="cursor",
        )
    return of_job, replace(page, cursor=rest)
