"""Snapshots of a job's results: a poster, a preview strip, and the best shot of each of its longest tracks.

A worker makes them after the last segment and stores them beside the video. Each attempt at finishing the job has keys
of its own, so attempts cannot overwrite each other's snapshots. The keys are scheduled for deletion before the first
byte is written. Only the transaction that ends the job cancels the deletion, so a failed attempt leaves nothing behind.
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
    """The name of the snapshot that shows a track's best shot."""
    return f"shot-{track_id}"


def snapshot_requests(video: Video, aggregation: TrackAggregation) -> list[SnapshotRequest]:
    """The snapshots to make. The poster shows the busiest moment or, without detections, an early one."""
    duration_s = video.media.duration_s if video.media is not None else 0.0
    poster_s = aggregation.busiest.time_s if aggregation.busiest is not None else duration_s / 10
    preview_s = tuple(duration_s * (number + 0.5) / PREVIEW_FRAMES for number in range(PREVIEW_FRAMES))
    shots = [
        SnapshotRequest(shot_of(track.track_id), (track.best_shot.time_s,), track.best_shot.box)
        for track in aggregation.longest
    ]
    return [SnapshotRequest(POSTER, (poster_s,)), SnapshotRequest(PREVIEW, preview_s), *shots]


def snapshots_result(
    requests: Sequence[SnapshotRequest], made: Sequence[Snapshot], aggregation: TrackAggregation
) -> JobSnapshots:
    """The part of the job's results that lists the snapshots that were ``made``."""
    names = {each.name for each in made}
    times_s = {request.name: request.times_s for request in requests if request.name in names}
    return JobSnapshots(
        poster_s=times_s[POSTER][0] if POSTER in times_s else None,
        preview_s=times_s.get(PREVIEW, ()),
        shots=tuple(sorted(track.track_id for track in aggregation.longest if shot_of(track.track_id) in names)),
    )


@dataclass(frozen=True, slots=True)
class SnapshotSet:
    """The snapshots of one attempt; ``keys`` are all keys that may have been written."""

    keys: Sequence[str]
    made: Sequence[Snapshot]


class TakeSnapshots:
    """Makes and stores the snapshots of a job.

    Snapshots are optional, so a failure to make one does not fail the job. Those whose frames are damaged are left out.
    No more are made after the storage has refused one, or after `_ENOUGH_AFTER_S` seconds.
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        storage: ObjectStorage,
        extractor: SnapshotExtractor,
        clock: Clock,
        *,
        stall_s: float,
    ) -> None:
        self._uow = uow
        self._storage = storage
        self._extractor = extractor
        self._clock = clock
        self._stall_s = stall_s

    async def __call__(
        self,
        video: Video,
        job: AnalysisJob,
        attempt: str,
        requests: Sequence[SnapshotRequest],
        check: Callable[[], None],
    ) -> SnapshotSet:
        """``attempt`` becomes part of the keys. ``check`` is called before each snapshot; it raises to stop the work.

        Raises `Stalled` when one snapshot takes longer than ``stall_s`` seconds, because the decoder hangs on the file.
        """
        if video.content is None:
            return SnapshotSet((), ())
        keys = {request.name: f"videos/{video.id}/jobs/{job.id}/{attempt}/{request.name}" for request in requests}
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
                async with aclosing(self._taken(stream, requests, check)) as pictures:
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
                                extra={"job": str(job.id), "stored": len(made), "wanted": len(requests)},
                            )
                            break
        except BaseException:
            with suppress(DomainError):  # the first error is raised; otherwise the sweep deletes them later
                await asyncio.shield(self.discard(job, snapshots))
            raise
        return SnapshotSet(snapshots.keys, made)

    async def keep(self, uow: UnitOfWork, job: AnalysisJob, snapshots: SnapshotSet) -> None:
        """Call it in the transaction that ends the job. Raises `ServiceUnavailable` when the snapshots have expired."""
        for key in snapshots.keys:
            if not await uow.object_deletions.forget(key):
                raise ServiceUnavailable(
                    "The pictures of this job have expired and are being made again. Try again in a moment."
                )
        await uow.snapshots.put_all(job, snapshots.made)

    async def discard(self, job: AnalysisJob, snapshots: SnapshotSet) -> None:
        """Schedule the snapshots for deletion now, because ending the job failed."""
        async with self._uow() as uow:
            # These must be kept: the commit that ended the job succeeded, although its response was lost.
            kept = set(await uow.snapshots.keys_of_video(job.tenant_id, job.video_id))
            for key in snapshots.keys:
                # A key that is not scheduled any more was swept before its snapshot was written: schedule it again.
                if await uow.object_deletions.forget(key) or key not in kept:
                    await uow.object_deletions.schedule(key, self._clock.now())
            await uow.commit()

    async def _taken(
        self, stream: BinaryIO, requests: Sequence[SnapshotRequest], check: Callable[[], None]
    ) -> AsyncGenerator[tuple[str, bytes], None]:
        pictures = self._extractor.take(stream, requests)
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
                        raise Stalled(f"The decoder did not deliver a snapshot within {self._stall_s:g} s.") from None
                    raise
                is_idle = True
                if picture is None:
                    return
                yield picture
        finally:
            if is_idle:  # otherwise a thread still runs it, or it has ended with an error
                pictures.close()


class StoredPicture:
    """A JPEG that can be streamed."""

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
    """One snapshot of a job. For viewers. Fails with `VideoNotFound`, `JobNotFound`, `ResultNotFound`."""

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
            raise ResultNotFound("This picture does not exist: the job has not succeeded, or made no such picture.")
        return StoredPicture(self._storage, snapshot)


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content
