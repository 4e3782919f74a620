"""The calls by which objects are written to a bucket, each guarded by the circuit breaker."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from vidintel.domain.errors import StorageError
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreaker
from vidintel.infrastructure.storage.s3_calls import S3Client, code_of, guarded, is_missing

# The server compares it with what came in; whole files have their SHA-256 in the database besides.
CHECKSUM = "CRC32"


class Head(NamedTuple):
    """What is known of an object without reading it."""

    size: int
    etag: str
    metadata: Mapping[str, str]


class S3Bucket:
    """Writes objects with ``options``, such as their encryption. Every method blocks, and raises as `guarded` does."""

    def __init__(self, client: S3Client, breaker: CircuitBreaker, name: str, options: Mapping[str, str]) -> None:
        self._client = client
        self._breaker = breaker
        self._name = name
        self._options = options

    def head(self, key: str) -> Head | None:
        """``None`` when there is no such object."""
        with guarded(self._breaker):
            try:
                answer = self._client.head_object(Bucket=self._name, Key=key)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
        return Head(int(answer["ContentLength"]), answer["ETag"], answer["Metadata"])

    def get(self, key: str) -> tuple[bytes, str] | None:
        """The content of a small object and its ETag; ``None`` when there is no such object."""
        with guarded(self._breaker):
            try:
                answer = self._client.get_object(Bucket=self._name, Key=key)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
            return answer["Body"].read(), answer["ETag"]

    def put(self, key: str, content: bytes, metadata: Mapping[str, str]) -> str:
        """Returns the ETag."""
        with guarded(self._breaker):
            answer = self._client.put_object(
                Bucket=self._name,
                Key=key,
                Body=content,
                Metadata=dict(metadata),
                ChecksumAlgorithm=CHECKSUM,
                **self._options,
            )
        return str(answer["ETag"])

    def delete(self, key: str) -> None:
        with guarded(self._breaker):
            self._client.delete_object(Bucket=self._name, Key=key)

    def create_multipart(self, key: str, metadata: Mapping[str, str]) -> str:
        """Returns the id of a new multipart upload."""
        with guarded(self._breaker):
            answer = self._client.create_multipart_upload(
                Bucket=self._name, Key=key, Metadata=dict(metadata), ChecksumAlgorithm=CHECKSUM, **self._options
            )
        return str(answer["UploadId"])

    def upload_part(self, key: str, multipart: str, number: int, content: bytes) -> dict[str, Any]:
        """Returns what `complete_multipart` wants of this part."""
        with guarded(self._breaker):
            answer = self._client.upload_part(
                Bucket=self._name,
                Key=key,
                UploadId=multipart,
                PartNumber=number,
                Body=content,
                ChecksumAlgorithm=CHECKSUM,
            )
        # Not every server answers with the checksum that it has compared.
        proofs = {name: answer[name] for name in ("ETag", f"Checksum{CHECKSUM}") if name in answer}
        return {"PartNumber": number, **proofs}

    def complete_multipart(self, key: str, multipart: str, parts: Sequence[Mapping[str, Any]]) -> None:
        """Make the object appear."""
        with guarded(self._breaker):
            self._client.complete_multipart_upload(
                Bucket=self._name, Key=key, UploadId=multipart, MultipartUpload={"Parts": list(parts)}
            )

    def abort_multipart(self, key: str, multipart: str) -> bool:
        """Whether there was one to abort."""
        try:
            with guarded(self._breaker):
                self._client.abort_multipart_upload(Bucket=self._name, Key=key, UploadId=multipart)
        except StorageError as error:
            if says_no_multipart(error):
                return False
            raise
        return True

    def multiparts(self) -> Iterator[tuple[str, str, datetime]]:
        """Key, id and start of each multipart upload that is not completed."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._name)
        for page in self._guarded_pages(pages):
            for multipart in page.get("Uploads", ()):
                yield multipart["Key"], multipart["UploadId"], multipart["Initiated"]

    def objects(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Key and time of the last change of each object whose key starts with ``prefix``."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
        for page in self._guarded_pages(pages):
            for item in page.get("Contents", ()):
                yield item["Key"], item["LastModified"]

    def _guarded_pages(self, pages: Any) -> Iterator[Mapping[str, Any]]:
        """Each page is a call of its own."""
        left = iter(pages)
        while True:
            with guarded(self._breaker):
                page = next(left, None)
            if page is None:
                return
            yield page


def says_no_multipart(error: StorageError) -> bool:
    """Whether ``error`` means that there is no such multipart upload: it was completed or aborted."""
    return isinstance(error.__cause__, ClientError) and code_of(error.__cause__) == "NoSuchUpload"
