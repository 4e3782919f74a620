"""Which job answers for a video, and lists of what a job found."""

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
    """One page of what ``job`` found. ``captured_at`` is the wall-clock time of the video's second 0, when known."""

    job: AnalysisJob
    captured_at: datetime | None
    items: Sequence[T]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class JobList:
    """A list of what one job of a video found. All pages are of the job of the first one: the cursor names it.

    ``page`` is the page to ask the repository for.
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
        """The page that a repository ``found``."""
        items, cursor = found
        next_cursor = None if cursor is None else f"{self.job.id.hex}.{cursor}"
        return AnswerPage(self.job, self.video.captured_at, items, next_cursor)


async def answering_job(uow: UnitOfWork, video: Video, job_id: JobId | None) -> AnalysisJob:
    """The named job of ``video``; else its current job; else, before the first one is published, its newest.

    So a video that is analysed for the first time answers with what its job has found so far. Raises `JobNotFound` for
    another video's job, and `ResultNotFound` for a video without jobs.
    """
    wanted = video.current_job_id if job_id is None else job_id
    if wanted is None:
        newest = await uow.jobs.latest_of_video(video.tenant_id, video.id)
        if newest is None:
            raise ResultNotFound("This video was never analysed. Start a job for it.")
        return newest
    job = await uow.jobs.get(video.tenant_id, wanted)
    if job is None or job.video_id != video.id:
        raise JobNotFound(wanted)
    return job


def _resumed(job_id: JobId | None, page: Page) -> tuple[JobId | None, Page]:
    """A list goes on with the job that its first page was of, whichever has succeeded since: the cursor names it."""
    if page.cursor is None:
        return job_id, page
    named, _, rest = page.cursor.partition(".")
    try:
        of_job = JobId(UUID(hex=named))
    except ValueError:
        raise ValidationError("This cursor is not one that we gave out.", field="cursor") from None
    if job_id not in {None, of_job}:
        raise ValidationError("This cursor is of another job's list.", field="cursor")
    return of_job, replace(page, cursor=rest)
