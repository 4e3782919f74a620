"""Creates the configured storage: S3 when the settings name a bucket, else the local disk."""

from pathlib import Path
from typing import BinaryIO

from vidintel.application.ports import ObjectStorage
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreakers
from vidintel.infrastructure.storage.local_disk import LocalDiskObjectStorage
from vidintel.settings.model import S3Settings, Settings

# Requests for a picture have a short time limit, after which the child process is killed.
_HASTY = {"read_timeout_s": 4.0, "attempts": 2}


def create_storage(settings: Settings, circuits: CircuitBreakers) -> ObjectStorage:
    if settings.s3.bucket is not None:
        return _s3(settings.s3, settings.s3.bucket, circuits)
    return LocalDiskObjectStorage(objects_dir(settings), min_free_bytes=settings.storage.min_free_bytes)


def objects_dir(settings: Settings) -> Path:
    """The folder of the objects on the local disk."""
    return settings.storage.root or settings.data_dir / "objects"


class StoredOpener:
    """For the renderer's own process: opens objects without a container around it.

    It can be pickled until it is called; the storage is made by the first call.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._storage: ObjectStorage | None = None

    def __call__(self, key: str) -> BinaryIO:
        """See `ObjectStorage.open`."""
        if self._storage is None:
            self._storage = _hasty_storage(self._settings)
        return self._storage.open(key)


def _hasty_storage(settings: Settings) -> ObjectStorage:
    hasty = settings.model_copy(update={"s3": settings.s3.model_copy(update=_HASTY)})
    return create_storage(hasty, CircuitBreakers(lambda: settings.circuit, settings.redis))


def _s3(settings: S3Settings, bucket: str, circuits: CircuitBreakers) -> ObjectStorage:
    # Importing boto3 is slow, and most installations do not need it.
    from vidintel.infrastructure.storage.s3 import S3ObjectStorage
    from vidintel.infrastructure.storage.s3_calls import is_outage

    return S3ObjectStorage(settings, bucket, circuits.breaker("s3", is_outage))
