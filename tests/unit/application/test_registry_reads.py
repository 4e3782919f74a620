"""A registry reads files; no request of anybody else may wait for that."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.unit.application.world import Incoming, Registry, World, principal
from vidintel.application.jobs.specs import SpecRequest
from vidintel.application.ports import ModelInfo
from vidintel.application.queries.models import ListModels
from vidintel.application.result import Ok


class RegistryOfFiles(Registry):
    """Fails when it is asked on an event loop."""

    def list(self) -> Sequence[ModelInfo]:
        _stay_off_the_loop()
        return super().list()

    def get(self, name: str) -> ModelInfo:
        _stay_off_the_loop()
        return super().get(name)


def _stay_off_the_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


async def test_models_are_looked_up_in_a_thread() -> None:
    world = World(registry=RegistryOfFiles())

    registered = await world.register(principal(), Incoming())
    assert isinstance(registered, Ok)
    await world.work_off()
    assert isinstance(await world.request(principal(), registered.value.video.id, SpecRequest()), Ok)
    assert isinstance(await ListModels(RegistryOfFiles())(principal()), Ok)
