"""Deleting expired videos."""

import logging
from datetime import datetime, timedelta

from vidintel.application.ports import Clock, Live, UnitOfWorkFactory
from vidintel.application.retry import retried
from vidintel.application.videos.lookup import remove_video
from vidintel.domain.errors import DomainError
from vidintel.domain.identity import TenantId
from vidintel.domain.retention import RetentionRules
from vidintel.domain.video import VideoId

_ALIGNED_AT_ONCE = 1_000
_REMOVED_AT_ONCE = 20
# A process that had not loaded the new rules yet may have registered videos by the old ones.
_ALIGN_EVERY = timedelta(hours=1)

_log = logging.getLogger(__name__)


class ApplyRetention:
    """Apply the rules to `Video.expires_at`, and delete expired videos. Worker processes call this periodically.

    Each call does a bounded amount of work. Each video is deleted in a transaction of its own, with everything that was
    made from it, as if an admin had deleted it. Several processes may run this at once.
    """

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, rules: Live[RetentionRules]) -> None:
        self._uow = uow
        self._clock = clock
        self._rules = rules
        self._aligned: RetentionRules | None = None
        self._align_at = clock.now()

    async def __call__(self) -> int:
        """Returns how many videos were deleted."""
        now = self._clock.now()
        rules = self._rules()
        if rules != self._aligned or now >= self._align_at:
            if await self._align(rules):
                self._aligned = None  # more videos may have outdated dates: delete nothing yet
                return 0
            self._aligned, self._align_at = rules, now + _ALIGN_EVERY
        async with self._uow() as uow:
            expired = await uow.videos.expired(now, _REMOVED_AT_ONCE)
        return sum([await self._removed(tenant_id, video_id, now) for tenant_id, video_id in expired])

    @retried
    async def _align(self, rules: RetentionRules) -> int:
        async with self._uow() as uow:
            changed = await uow.videos.align_expiry(rules, _ALIGNED_AT_ONCE)
            await uow.commit()
            return changed

    async def _removed(self, tenant_id: TenantId, video_id: VideoId, now: datetime) -> bool:
        try:
            return await self._remove(tenant_id, video_id, now)
        except DomainError as error:
            # The next call finds this video first again, so its failure must not stop the deletion of the others.
            _log.error("video.not_removed", extra={"video": str(video_id), "code": error.code, "reason": error.detail})
            return False

    @retried
    async def _remove(self, tenant_id: TenantId, video_id: VideoId, now: datetime) -> bool:
        async with self._uow() as uow:
            video = await uow.videos.get_for_update(tenant_id, video_id)
            if video is None or video.expires_at is None or video.expires_at > now:
                return False
            await remove_video(uow, video, now)
            await uow.commit()
        _log.info("video.expired", extra={"tenant": str(tenant_id), "video": str(video_id)})
        return True
