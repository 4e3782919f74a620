"""Writing one object to an S3 server: at once when it is small, else in parts that appear as a whole at the end."""

import hashlib
from contextlib import suppress
from threading import Lock
from typing import Any

from vidintel.domain.errors import DomainError
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreaker
from vidintel.infrastructure.storage.s3_calls import S3Client, guarded

# The server compares it with what came in; whole files have their SHA-256 in the database besides.
CHECKSUM = "CRC32"


class S3Upload:
    """A `BlockWriter` for one object. ``options`` are those of the object, such as its encryption.

    Every block but the last has at least 5 MiB, the smallest part that S3 takes.
    """

    def __init__(
        self, client: S3Client, breaker: CircuitBreaker, bucket: str, key: str, options: dict[str, str]
    ) -> None:
        self._client = client
        self._breaker = breaker
        self._where = {"Bucket": bucket, "Key": key}
        self._options = options
        self._lock = Lock()
        self._sha256 = hashlib.sha256()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._ended = False

    def open(self) -> None:
        """Nothing is asked of the server before the first block is there."""

    def write(self, block: list[bytes]) -> None:
        with self._lock:
            if not self._ended:
                self._append(_joined(block))

    def finish(self, block: list[bytes]) -> str:
        """Write the last part and make the object appear; returns its SHA-256 in hex."""
        with self._lock:
            if self._ended:
                return self._sha256.hexdigest()
            part = _joined(block)
            if self._upload_id is None:
                self._sha256.update(part)
                with guarded(self._breaker):
                    self._client.put_object(**self._where, Body=part, ChecksumAlgorithm=CHECKSUM, **self._options)
            else:
                if part:
                    self._append(part)
                with guarded(self._breaker):
                    self._client.complete_multipart_upload(
                        **self._where, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
                    )
            self._ended = True
            return self._sha256.hexdigest()

    def abort(self, block: list[bytes]) -> None:  # noqa: ARG002 - nothing of a failed write is kept
        """Throw away what was written; what cannot be now is a case for `ObjectStorage.purge_unfinished`."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            if self._upload_id is not None:
                with suppress(DomainError), guarded(self._breaker):
                    self._client.abort_multipart_upload(**self._where, UploadId=self._upload_id)

    def _append(self, part: bytes) -> None:
        self._sha256.update(part)
        if self._upload_id is None:
            with guarded(self._breaker):
                answer = self._client.create_multipart_upload(
                    **self._where, ChecksumAlgorithm=CHECKSUM, **self._options
                )
            self._upload_id = answer["UploadId"]
        number = len(self._parts) + 1
        with guarded(self._breaker):
            answer = self._client.upload_part(
                **self._where, UploadId=self._upload_id, PartNumber=number, Body=part, ChecksumAlgorithm=CHECKSUM
            )
        # Not every server answers with the checksum that it has compared.
        proofs = {name: answer[name] for name in ("ETag", f"Checksum{CHECKSUM}") if name in answer}
        self._parts.append({"PartNumber": number, **proofs})


def _joined(block: list[bytes]) -> bytes:
    """The block as one piece. Its chunks are let go of, so that they are not in memory twice while it is sent."""
    part = b"".join(block)
    block.clear()
    return part
