import pytest

from vidintel.application.ports import UnitOfWorkFactory


@pytest.fixture
def unit_of_work(uow_factory: UnitOfWorkFactory) -> UnitOfWorkFactory:
    """What the contract suites ask for."""
    return uow_factory
