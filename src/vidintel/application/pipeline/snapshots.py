"""Pictures that show what a job found: a poster, a preview strip, and the best shot of each of its longest tracks.

They are made by a worker, after the last segment, and stored beside the video. The keys are those of one attempt at
finishing the job, and scheduled for deletion before the first byte is written: only the transaction that ends the job
takes them off that list. So nothing stays behind, however an attempt ends, and none touches another's pictures.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO

from vidintel.application.pipeline.track_aggregation import TrackAggregation
from vidintel.application.ports import (
    Clock,
    ObjectStorage,
    Snapshot,
    SnapshotExtractor,
    SnapshotRequest,
    UnitOfWork,
    UnitOfWorkFactory,
)
from vidintel.application.queries.answering import answering_job
from vidintel.application.result import as_result
from vidintel.application.videos.lookup import video_of
from vidintel.application.work.lease import Stalled
from vidintel.domain.analysis import AnalysisJob, JobId
from vidintel.domain.errors import DomainError, ResultNotFound, ServiceUnavailable, StorageError, StorageFull
from vidintel.domain.identity import Permission, Principal
from vidintel.domain.results import JobSnapshots
from vidintel.domain.video import Video, VideoId

POSTER, PREVIEW = "poster", "preview"
PREVIEW_FRAMES = 10
_EXPIRES = timedelta(hours=24)
_MAX_BYTES = 16 * 1024**2
_ENOUGH_AFTER_S = 120.0

_log = logging.getLogger(__name__)


def shot_of(track_id: int) -> str:
    """The name of a track's best shot."""
    return f"shot-{track_id}"


def orders_for(video: Video, following: TrackAggregation) -> list[SnapshotRequest]:
    """What is to be photographed: the poster shows the busiest moment, or else an early one."""
    duration_s = video.media.duration_s if video.media is not None else 0.0
    poster_s = following.busiest.time_s if following.busiest is not None else duration_s / 10
    preview_s = tuple(duration_s * (number + 0.5) / PREVIEW_FRAMES for number in range(PREVIEW_FRAMES))
    shots = [
        SnapshotRequest(shot_of(track.track_id), (track.best_shot.time_s,), track.best_shot.box)
        for track in following.longest
    ]
    return [SnapshotRequest(POSTER, (poster_s,)), SnapshotRequest(PREVIEW, preview_s), *shots]


def snapshots_result(
    orders: Sequence[SnapshotRequest], made: Sequence[Snapshot], following: TrackAggregation
) -> JobSnapshots:
    """What was ``made`` of what was ordered."""
    names = {each.name for each in made}
    times_s = {order.name: order.times_s for order in orders if order.name in names}
    return JobSnapshots(
        poster_s=times_s[POSTER][0] if POSTER in times_s else None,
        preview_s=times_s.get(PREVIEW, ()),
        shots=tuple(sorted(track.track_id for track in following.longest if shot_of(track.track_id) in names)),
    )


@dataclass(frozen=True, slots=True)
class SnapshotSet:
    """The pictures of one attempt; ``keys`` are all that may have been written."""

    keys: Sequence[str]
    made: Sequence[Snapshot]


class TakeSnapshots:
    """Has the worker make and store pictures.

    They adorn an answer and must not cost it: those of which the video is broken are left out, and no more are made
    when the storage takes none, or after `_ENOUGH_AFTER_S` seconds.
    """

    def __init__(
        self, uow: UnitOfWorkFactory, storage: ObjectStorage, camera: SnapshotExtractor, clock: Clock, *, stall_s: float
    ) -> None:
        self._uow = uow
        self._storage = storage
        self._snapshot_extractor = camera
        self._clock = clock
        self._stall_s = stall_s

    async def __call__(
        self, video: Video, job: AnalysisJob, attempt: str, orders: Sequence[SnapshotRequest], check: Callable[[], None]
    ) -> SnapshotSet:
        """``attempt`` is in the keys; ``check`` is called before each picture, and raises when the work is to stop.

        Raises `Stalled` when a picture takes longer than ``stall_s`` seconds: the file makes the decoder hang.
        """
        if video.content is None:
            return SnapshotSet((), ())
        keys = {order.name: f"videos/{video.id}/jobs/{job.id}/{attempt}/{order.name}" for order in orders}
        snapshots = SnapshotSet(tuple(keys.values()), ())
        async with self._uow() as uow:
            for key in snapshots.keys:
                await uow.object_deletions.schedule(key, self._clock.now() + _EXPIRES)
            await uow.commit()
        made: list[Snapshot] = []
        clock = asyncio.get_running_loop()
        enough_at = clock.time() + _ENOUGH_AFTER_S
        try:
            with await asyncio.to_thread(self._storage.open, video.content.key) as stream:
                async with aclosing(self._taken(stream, orders, check)) as pictures:
                    async for name, jpeg in pictures:
                        try:
                            content = await self._storage.put(keys[name], _chunks(jpeg), max_bytes=_MAX_BYTES)
                        except (StorageError, StorageFull) as error:
                            _log.warning(
                                "snapshots.not_stored",
                                extra={"job": str(job.id), "code": error.code, "stored": len(made)},
                            )
                            break
                        made.append(Snapshot(name, content))
                        if clock.time() > enough_at:
                            _log.warning(
                                "snapshots.cut_short",
                                extra={"job": str(job.id), "stored": len(made), "wanted": len(orders)},
                            )
                            break
        except BaseException:
            with suppress(DomainError):  # what went wrong first is the news; the sweep finds the pictures tomorrow
                await asyncio.shield(self.discard(job, snapshots))
            raise
        return SnapshotSet(snapshots.keys, made)

    async def keep(self, uow: UnitOfWork, job: AnalysisJob, snapshots: SnapshotSet) -> None:
        """Within the transaction that ends the job. Raises `ServiceUnavailable` when the pictures are gone already."""
        for key in snapshots.keys:
            if not await uow.object_deletions.forget(key):
                raise ServiceUnavailable("The pictures of this job have expired. They are made again.")
        await uow.snapshots.put_all(job, snapshots.made)

    async def discard(self, job: AnalysisJob, snapshots: SnapshotSet) -> None:
        """The job was not ended after all: the sweep may remove the pictures now."""
        async with self._uow() as uow:
            # Those that are kept: the job was ended, though the answer of its commit got lost.
            kept = set(await uow.snapshots.keys_of_video(job.tenant_id, job.video_id))
            for key in snapshots.keys:
                # Not on the list any more: the sweep was here while the picture was not, and would never come back.
                if await uow.object_deletions.forget(key) or key not in kept:
                    await uow.object_deletions.schedule(key, self._clock.now())
            await uow.commit()

    async def _taken(
        self, stream: BinaryIO, orders: Sequence[SnapshotRequest], check: Callable[[], None]
    ) -> AsyncGenerator[tuple[str, bytes], None]:
        pictures = self._snapshot_extractor.take(stream, orders)
        is_idle = True
        try:
            while True:
                check()
                is_idle = False
                try:
                    async with asyncio.timeout(self._stall_s) as limit:
                        picture = await asyncio.to_thread(next, pictures, None)
                except TimeoutError:
                    if limit.expired():
                        raise Stalled(f"A picture was not ready after {self._stall_s:g} s.") from None
                    raise
                is_idle = True
                if picture is None:
                    return
                yield picture
        finally:
            if is_idle:  # else a thread is still at it, or it has ended with an error
                pictures.close()


class StoredPicture:
    """A JPEG, to be streamed."""

    def __init__(self, storage: ObjectStorage, snapshot: Snapshot) -> None:
        self._storage = storage
        self._content = snapshot.content

    @property
    def size_bytes(self) -> int:
        return self._content.size_bytes

    @property
    def sha256(self) -> str:
        return self._content.sha256

    def read(self) -> AsyncIterator[bytes]:
        return self._storage.read(self._content.key)


class OpenPicture:
    """One of the pictures that a job left. For viewers. Fails with `VideoNotFound`, `JobNotFound`, `ResultNotFound`."""

    def __init__(self, uow: UnitOfWorkFactory, storage: ObjectStorage) -> None:
        self._uow = uow
        self._storage = storage

    @as_result
    async def __call__(self, principal: Principal, video_id: VideoId, job_id: JobId | None, name: str) -> StoredPicture:
        principal.require(Permission.VIDEO_READ)
        async with self._uow() as uow:
            video = await video_of(uow, principal, video_id)
            job = await answering_job(uow, video, job_id)
            snapshot = await uow.snapshots.get(principal.tenant_id, job.id, name)
        if snapshot is None:
            raise ResultNotFound("There is no such picture: the job has not succeeded, or kept none of it.")
        return StoredPicture(self._storage, snapshot)


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content
