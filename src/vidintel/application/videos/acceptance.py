"""Accepting content: the bytes of a video become an object in the storage that belongs to the video.

Every source of content takes the same two steps. First the bytes are written under a key that `AcceptContent` has
reserved, in one go (`AcceptContent.stored`) or in parts. One transaction then attaches the object to its video:
`attach_content` for a video that is registered in the same transaction, `receive_content` for one that is ``pending``.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import uuid4

from vidintel.application.jobs.queueing import start_analysis
from vidintel.application.ports import Clock, Live, ObjectStorage, UnitOfWork, UnitOfWorkFactory
from vidintel.application.videos.sniffing import checked
from vidintel.domain.errors import ServiceUnavailable, StorageError, StorageUnavailable
from vidintel.domain.events import Event
from vidintel.domain.identity import TenantId
from vidintel.domain.video import StoredContent, Video, VideoId


class AcceptContent:
    """Store the bytes of a video so that no failure leaves an object behind that belongs to no video.

    A key is scheduled for deletion before its first byte is written. Only the transaction that attaches the object to
    its video takes the key off that list.
    """

    _RESERVED_FOR = timedelta(hours=24)

    def __init__(
        self, uow: UnitOfWorkFactory, storage: ObjectStorage, clock: Clock, *, max_upload_bytes: Live[int]
    ) -> None:
        self._uow = uow
        self._storage = storage
        self._clock = clock
        self._max_upload_bytes = max_upload_bytes

    async def reserve(self, video_id: VideoId) -> str:
        """A new key for content of the video. Its object is deleted after 24 hours unless it is attached before.

        Each attempt gets a key of its own, so that clearing up after one cannot delete what another one stores.
        """
        key = f"videos/{video_id}/source-{uuid4().hex}"
        async with self._uow() as uow:
            await uow.object_deletions.schedule(key, self._clock.now() + self._RESERVED_FOR)
            await uow.commit()
        return key

    @asynccontextmanager
    async def stored(
        self, tenant_id: TenantId, video_id: VideoId, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[StoredContent]:
        """Store ``chunks``; attach the content within the block. When the block raises, the object is deleted.

        Raises `EmptyFile`, `NotAVideo`, `PayloadTooLarge`, `StorageFull`, `StorageUnavailable`, `StorageError`. An
        exception from ``chunks`` passes through.
        """
        key = await self.reserve(video_id)
        try:
            yield await self._storage.put(key, checked(chunks), max_bytes=self._max_upload_bytes())
        except BaseException:
            await asyncio.shield(self._discard(tenant_id, video_id, key))
            raise

    async def _discard(self, tenant_id: TenantId, video_id: VideoId, key: str) -> None:
        async with self._uow() as uow:
            # `forget` waits for a transaction that is attaching the content at this moment.
            if not await uow.object_deletions.forget(key) and await _is_attached(uow, tenant_id, video_id, key):
                return  # the commit succeeded, although its response was lost
            await uow.object_deletions.schedule(key, self._clock.now())
            await uow.commit()
        try:
            await self._storage.delete(key)
        except (StorageError, StorageUnavailable):
            return  # the sweep deletes it; the caller gets the first error
        async with self._uow() as uow:
            await uow.object_deletions.removed([key])
            await uow.commit()


async def attach_content(uow: UnitOfWork, video: Video, content: StoredContent, now: datetime) -> None:
    """Attach ``content``, whose key is reserved, to ``video``, and keep its object. The caller adds or saves the video.

    Raises `ServiceUnavailable` when the reservation has run out; the transaction must not be committed then.
    """
    if not await uow.object_deletions.forget(content.key):
        raise ServiceUnavailable("The upload took too long and has expired. Send it again.")
    video.attach_content(content, now)
    await uow.outbox.add(Event.video_uploaded(video, now))


async def receive_content(uow: UnitOfWork, video: Video, content: StoredContent, now: datetime) -> None:
    """Attach ``content`` to ``video``, which is pending and locked, and start the job that waits for it.

    Raises `InvalidTransition` when the video is not pending, and what `attach_content` raises.
    """
    await attach_content(uow, video, content, now)
    await uow.videos.save(video)
    await start_analysis(uow, video, now)


async def _is_attached(uow: UnitOfWork, tenant_id: TenantId, video_id: VideoId, key: str) -> bool:
    video = await uow.videos.get(tenant_id, video_id)
    return video is not None and video.content is not None and video.content.key == key
