"""The S3 adapter on a real server."""

import pytest

from tests.contracts.object_storage_contract import ObjectStorageContract
from vidintel.application.ports import ObjectStorage
from vidintel.infrastructure.storage.s3 import S3ObjectStorage


class TestS3ObjectStorage(ObjectStorageContract):
    @pytest.fixture
    def storage(self, s3_storage: S3ObjectStorage) -> ObjectStorage:
        return s3_storage
