"""The tracks of a job."""

from typing import TypeAlias

from vidintel.application.ports import Page, TrackFilter, UnitOfWorkFactory
from vidintel.application.queries.answering import AnswerPage, JobList
from vidintel.application.result import as_result
from vidintel.application.retry import retried
from vidintel.domain.analysis import JobId
from vidintel.domain.identity import Permission, Principal
from vidintel.domain.tracking import Track
from vidintel.domain.video import VideoId

TrackPage: TypeAlias = AnswerPage[Track]


class ListTracks:
    """The tracks of a job, in order of first appearance. For viewers. There are none until the job has succeeded.

    Fails with `VideoNotFound`, `JobNotFound`, `ResultNotFound`, `ValidationError` for a bad cursor.
    """

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    @as_result
    @retried
    async def __call__(
        self, principal: Principal, video_id: VideoId, job_id: JobId | None, filter_: TrackFilter, page: Page
    ) -> TrackPage:
        principal.require(Permission.VIDEO_READ)
        async with self._uow() as uow:
            listed = await JobList.open(uow, principal, video_id, job_id, page)
            return listed.answer(await uow.tracks.list(principal.tenant_id, listed.job.id, filter_, listed.page))
