import pytest

from tests.contracts.object_storage_contract import ObjectStorageContract
from tests.support.fakes import FakeObjectStorage
from vidintel.application.ports import ObjectStorage


class TestFakeObjectStorage(ObjectStorageContract):
    @pytest.fixture
    def storage(self) -> ObjectStorage:
        return FakeObjectStorage()
