"""Holding work while something it needs is down."""

import pytest

from vidintel.application.holding import insist
from vidintel.domain.errors import ServiceUnavailable


class Flaky:
    """Unavailable the first ``times``."""

    def __init__(self, times: int) -> None:
        self.left = times

    async def __call__(self) -> None:
        if self.left:
            self.left -= 1
            raise ServiceUnavailable("Down.")


async def test_insisting_outlasts_an_outage() -> None:
    flaky = Flaky(3)

    await insist(flaky, for_s=10, every_s=0.001)

    assert flaky.left == 0


async def test_insisting_gives_up_in_the_end() -> None:
    with pytest.raises(ServiceUnavailable):
        await insist(Flaky(1_000_000), for_s=0.01, every_s=0.001)
