import pytest

from tests.contracts.object_storage_contract import ObjectStorageContract
from tests.support.fakes import FakeObjectStorage
from vidintel.application.ports import ObjectStorage


class TestFakeObjectStorage(ObjectStorageContract):
    @pytest.fixture
    def fake(self) -> FakeObjectStorage:
        return FakeObjectStorage()

    @pytest.fixture
    def storage(self, fake: FakeObjectStorage) -> ObjectStorage:
        return fake

    @pytest.fixture
    def other(self, fake: FakeObjectStorage) -> ObjectStorage:
        other = FakeObjectStorage()
        other.objects, other.uploads = fake.objects, fake.uploads
        return other
