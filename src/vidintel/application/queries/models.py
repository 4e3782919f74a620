"""The models that this service can run."""

import asyncio
from collections.abc import Sequence

from vidintel.application.ports import (
    ModelInfo,
    ModelRegistry,
)
from vidintel.application.result import as_result
from vidintel.domain.identity import Permission, Principal


class ListModels:
    """The models that a client can choose. For viewers."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    @as_result
    async def __call__(self, principal: Principal) -> Sequence[ModelInfo]:
        principal.require(Permission.MODEL_READ)
        return await asyncio.to_thread(self._registry.list)
