"""The detections of a job, frame by frame."""

from dataclasses import replace
from typing import TypeAlias

from vidintel.application.ports import DetectionFilter, DetectionRow, Page, UnitOfWorkFactory
from vidintel.application.queries.answering import AnswerPage, JobList
from vidintel.application.result import as_result
from vidintel.application.retry import retried
from vidintel.domain.analysis import JobId
from vidintel.domain.identity import Permission, Principal
from vidintel.domain.video import VideoId

DetectionPage: TypeAlias = AnswerPage[DetectionRow]


class ListDetections:
    """The detections of a job, frame by frame. For viewers. While the job runs, those of its finished segments.

    Fails with `VideoNotFound`, `JobNotFound`, `ResultNotFound`, `ValidationError` for a bad cursor.
    """

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    @as_result
    @retried
    async def __call__(
        self, principal: Principal, video_id: VideoId, job_id: JobId | None, filter_: DetectionFilter, page: Page
    ) -> DetectionPage:
        principal.require(Permission.VIDEO_READ)
        async with self._uow() as uow:
            listed = await JobList.open(uow, principal, video_id, job_id, page)
            # Detections below the job's min_confidence are stored for its tracker only.
            at_least = max(filter_.min_confidence or 0.0, listed.job.spec.min_confidence)
            wanted = replace(filter_, min_confidence=at_least)
            return listed.answer(await uow.detections.list(principal.tenant_id, listed.job.id, wanted, listed.page))
