"""Writing one object to an S3 server: at once when it is small, else in parts that appear as a whole at the end."""

import hashlib
from contextlib import suppress
from threading import Lock
from typing import Any

from vidintel.domain.errors import DomainError
from vidintel.infrastructure.storage.s3_bucket import S3Bucket


class S3Upload:
    """A `BlockWriter` for one object. Every block but the last has at least 5 MiB, the smallest part that S3 takes."""

    def __init__(self, bucket: S3Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._lock = Lock()
        self._sha256 = hashlib.sha256()
        self._multipart: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._ended = False

    def open(self) -> None:
        """No request is sent before the first block is complete."""

    def write(self, block: list[bytes]) -> None:
        with self._lock:
            if not self._ended:
                self._append(joined(block))

    def finish(self, block: list[bytes]) -> str:
        """Write the last part and make the object appear; returns its SHA-256 in hex."""
        with self._lock:
            if self._ended:
                return self._sha256.hexdigest()
            part = joined(block)
            if self._multipart is None:
                self._sha256.update(part)
                self._bucket.put(self._key, part, {})
            else:
                if part:
                    self._append(part)
                self._bucket.complete_multipart(self._key, self._multipart, self._parts)
            self._ended = True
            return self._sha256.hexdigest()

    def abort(self, block: list[bytes]) -> None:  # noqa: ARG002 - nothing of a failed write is kept
        """Discard what was written. If that fails, `ObjectStorage.purge_unfinished` removes it later."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            if self._multipart is not None:
                with suppress(DomainError):
                    self._bucket.abort_multipart(self._key, self._multipart)

    def _append(self, part: bytes) -> None:
        self._sha256.update(part)
        if self._multipart is None:
            self._multipart = self._bucket.create_multipart(self._key, {})
        self._parts.append(self._bucket.upload_part(self._key, self._multipart, len(self._parts) + 1, part))


def joined(block: list[bytes]) -> bytes:
    """The block as one piece. Its chunks are released, so that they are not in memory twice while it is sent."""
    part = b"".join(block)
    block.clear()
    return part
