"""Objects in a bucket of an S3 server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, ParamSpec, TypeVar

from botocore.exceptions import ClientError

from vidintel.application.ports import UploadId
from vidintel.domain.errors import StorageUnavailable
from vidintel.domain.video import StoredContent
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreaker
from vidintel.infrastructure.storage.hashes import hash_of
from vidintel.infrastructure.storage.keys import parts_of, require_key
from vidintel.infrastructure.storage.s3_bucket import S3Bucket
from vidintel.infrastructure.storage.s3_calls import NO_BUCKET, code_of, connect, guarded, is_missing, translated
from vidintel.infrastructure.storage.s3_download import S3Blocks, S3Download, S3File
from vidintel.infrastructure.storage.s3_upload import S3Upload
from vidintel.infrastructure.storage.s3_uploads import PARTS_MAX, S3Uploads
from vidintel.infrastructure.storage.streaming import in_thread, stream_into
from vidintel.settings.model import S3Settings

P = ParamSpec("P")
T = TypeVar("T")

_PART_BYTES = 8 * 1024**2
_CHUNK_BYTES = 1024**2


class S3ObjectStorage:
    """Keeps objects in a bucket of its own. Calls are made in ``connections`` threads.

    A write holds two parts of 8 MiB in memory, one being received while the other is sent; what is smaller than a part
    is sent at once. An append holds up to 5 MiB more. All calls go through ``breaker``: when the server is down they
    fail with `StorageUnavailable`.
    """

    def __init__(self, settings: S3Settings, bucket: str, breaker: CircuitBreaker) -> None:
        self._settings = settings
        self._bucket = bucket
        self._breaker = breaker
        self._client = connect(settings)
        self._writing = S3Bucket(self._client, breaker, bucket, self._encryption())
        self._uploads = S3Uploads(self._writing)
        self._threads = ThreadPoolExecutor(settings.connections, thread_name_prefix="s3")

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredContent:
        upload = S3Upload(self._writing, require_key(key))
        sha256, size = await stream_into(
            upload, chunks, executor=self._threads, block_bytes=_block_bytes(max_bytes), max_bytes=max_bytes
        )
        return StoredContent(key=key, size_bytes=size, sha256=sha256)

    async def begin_upload(self, key: str) -> UploadId:
        return await self._in_thread(self._uploads.begin, key)

    async def append(
        self, upload: UploadId, offset: int, chunks: AsyncIterator[bytes], *, max_bytes: int, atomic: bool = False
    ) -> int:
        append = self._uploads.appending(upload, offset, max_bytes=max_bytes, atomic=atomic)
        durable, _ = await stream_into(
            append,
            chunks,
            executor=self._threads,
            block_bytes=_block_bytes(max_bytes),
            max_bytes=max_bytes,
            received=offset,
        )
        return durable

    async def upload_offset(self, upload: UploadId) -> int:
        return await self._in_thread(self._uploads.offset, upload)

    async def finish_upload(self, upload: UploadId) -> StoredContent:
        key = parts_of(upload)[1]
        known = await self._in_thread(self._uploads.publish, upload)
        sha256, size = known or await hash_of(self.read(key), self._threads)
        await self._in_thread(self._uploads.forget, upload)
        return StoredContent(key=key, size_bytes=size, sha256=sha256)

    async def abort_upload(self, upload: UploadId) -> None:
        await self._in_thread(self._uploads.abort, upload)

    async def size(self, key: str) -> int | None:
        where = self._where(key)

        def measure() -> int | None:
            with guarded(self._breaker):
                try:
                    return int(self._client.head_object(**where)["ContentLength"])
                except ClientError as error:
                    if is_missing(error):
                        return None
                    raise

        return await self._in_thread(measure)

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        if start < 0 or (end is not None and end < start):
            raise ValueError(f"not a range of bytes: {start} to {end}")
        return self._blocks(self._download(require_key(key), start, end))

    def open(self, key: str) -> BinaryIO:
        """The file raises `StorageUnavailable` when the server goes down, also at the end of its ``with`` block."""
        require_key(key)
        return S3File(S3Blocks(lambda start, end: self._download(key, start, end)))

    async def link(self, key: str, *, media_type: str, file_name: str) -> str | None:
        if self._settings.content == "stream":
            return None
        answered_as = {
            "ResponseContentType": media_type,
            "ResponseContentDisposition": f'inline; filename="{file_name}"',
        }
        where = self._where(key)

        def sign() -> str:
            # Signing sends no request, so check the circuit: do not send clients to a server that is down.
            if self._breaker.state == "open":
                raise StorageUnavailable
            with translated():
                return str(
                    self._client.generate_presigned_url(
                        "get_object", Params=where | answered_as, ExpiresIn=self._settings.link_s
                    )
                )

        return await self._in_thread(sign)

    async def delete(self, key: str) -> None:
        where = self._where(key)

        def remove() -> None:
            with guarded(self._breaker):
                self._client.delete_object(**where)

        await self._in_thread(remove)

    async def purge_unfinished(self, older_than_s: float) -> int:
        newest = datetime.now(UTC) - timedelta(seconds=older_than_s)
        return await self._in_thread(self._uploads.purge, newest)

    async def check(self) -> None:
        def ask() -> None:
            with guarded(self._breaker):
                try:
                    self._client.head_bucket(Bucket=self._bucket)
                except ClientError as error:
                    if code_of(error) == "404":
                        raise StorageUnavailable(NO_BUCKET) from error
                    raise

        await self._in_thread(ask)

    def close(self) -> None:
        """Finish running calls, and release threads and connections."""
        self._threads.shutdown()
        self._client.close()

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": require_key(key)}

    def _encryption(self) -> dict[str, str]:
        given = {"ServerSideEncryption": self._settings.encryption, "SSEKMSKeyId": self._settings.kms_key_id}
        return {name: value for name, value in given.items() if value is not None}

    def _download(self, key: str, start: int, end: int | None) -> S3Download:
        return S3Download(self._client, self._breaker, self._bucket, key, start, end)

    async def _blocks(self, download: S3Download) -> AsyncIterator[bytes]:
        try:
            while block := await self._in_thread(download.read, _CHUNK_BYTES):
                yield block
        finally:
            self._threads.submit(download.close)  # not waited for: a read may still be at it

    def _in_thread(self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> asyncio.Future[T]:
        return in_thread(self._threads, function, *arguments, **named)


def _block_bytes(max_bytes: int) -> int:
    """How much is sent at once, so that ``max_bytes`` take no more parts than S3 allows."""
    return max(_PART_BYTES, -(-max_bytes // PARTS_MAX))
