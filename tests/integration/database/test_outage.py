"""A database that is not there is an outage, whatever the driver calls it."""

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.chaos.proxy import SlowProxy
from tests.support.factories import make_frame, make_segment, make_video
from tests.support.postgres import cut_all_others
from vidintel.application.ports import UnitOfWorkFactory
from vidintel.domain.detection import FrameDetections
from vidintel.domain.errors import ServiceUnavailable, StorageError
from vidintel.domain.identity import TenantId
from vidintel.infrastructure.database.engine import create_engine, create_session_factory
from vidintel.infrastructure.database.unit_of_work import SqlUnitOfWork
from vidintel.settings.model import DatabaseSettings

_FOR_EVER_S = 3600.0


async def test_no_server_at_all_and_nothing_was_done() -> None:
    engine = create_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none", DatabaseSettings(), pooled=False)
    video = make_video()

    with pytest.raises(ServiceUnavailable) as refused:
        async with SqlUnitOfWork(create_session_factory(engine)) as uow:
            await uow.videos.get(video.tenant_id, video.id)
    assert refused.value.retryable
    await engine.dispose()


async def test_a_connection_that_is_cut_in_the_middle(engine: AsyncEngine, database_url: str) -> None:
    video = make_video()

    async def add_while_the_server_goes() -> None:
        async with SqlUnitOfWork(create_session_factory(engine)) as uow:
            await uow.videos.add(video)
            await cut_all_others(database_url)
            await uow.commit()

    with pytest.raises(ServiceUnavailable) as cut:
        await add_while_the_server_goes()
    assert not cut.value.retryable, "a commit without an answer may have happened"

    async with SqlUnitOfWork(create_session_factory(engine)) as uow:
        assert await uow.videos.get(TenantId(video.tenant_id.value), video.id) is None


@asynccontextmanager
async def slow_network(database_url: str) -> AsyncIterator[tuple[SlowProxy, AsyncEngine]]:
    """A proxy that can make the server fall silent: its machine is gone, or the network between. Patience is short."""
    url = make_url(database_url)
    target = f"{url.query['host']}/.s.PGSQL.{url.query['port']}" if "host" in url.query else url.port or 5432
    async with SlowProxy("postgres", target) as proxy, asyncio.timeout(60):
        through = url.set(host="127.0.0.1", port=proxy.port, query={}).render_as_string(hide_password=False)
        engine = create_engine(through, DatabaseSettings(statement_timeout_s=0.5))
        yield proxy, engine
        await engine.dispose()


async def test_a_server_that_falls_silent_is_not_waited_for_for_ever(database_url: str) -> None:
    video = make_video()
    async with slow_network(database_url) as (proxy, engine):

        async def ask(*, silent: bool) -> None:
            async with SqlUnitOfWork(create_session_factory(engine)) as uow:
                await uow.videos.get(video.tenant_id, video.id)
                if silent:
                    proxy.delay_s = _FOR_EVER_S
                await uow.videos.add(video)

        await ask(silent=False)
        with pytest.raises(ServiceUnavailable) as gone:
            await ask(silent=True)
        assert gone.value.retryable
        proxy.delay_s = 0
        await ask(silent=False)


async def test_a_connection_that_fell_silent_while_nobody_used_it_is_replaced(database_url: str) -> None:
    video = make_video()
    async with slow_network(database_url) as (proxy, engine):

        async def ask() -> None:
            async with SqlUnitOfWork(create_session_factory(engine)) as uow:
                await uow.videos.get(video.tenant_id, video.id)

        await ask()
        proxy.forget()
        await ask()


@pytest.mark.parametrize("how", ["silent", "cut"])
async def test_rows_that_are_copied_when_the_server_goes_are_not_waited_for(database_url: str, how: str) -> None:
    segment = make_segment()
    others = list[asyncio.Task[None]]()
    async with slow_network(database_url) as (proxy, engine):

        def frames() -> Iterator[FrameDetections]:
            for number in range(4000):  # more than the driver sends without asking whether there is room
                if number == 1000:
                    if how == "silent":
                        proxy.delay_s = _FOR_EVER_S
                    else:
                        others.append(asyncio.create_task(cut_all_others(database_url)))
                yield make_frame(number, *["car"] * 20)

        with pytest.raises(ServiceUnavailable) as gone:
            async with SqlUnitOfWork(create_session_factory(engine)) as uow:
                await uow.detections.add_all(segment, make_video().id, frames())
        assert gone.value.retryable
        await asyncio.gather(*others)


async def test_a_fault_of_the_storage_is_not_taken_for_one_of_the_database(unit_of_work: UnitOfWorkFactory) -> None:
    with pytest.raises(StorageError):
        async with unit_of_work():
            raise StorageError("The storage failed.") from OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), FileNotFoundError("x"), TimeoutError()])
async def test_errors_of_the_system_that_others_raise_within_the_block_stay_what_they_are(
    unit_of_work: UnitOfWorkFactory, error: OSError
) -> None:
    async def fail() -> None:
        async with unit_of_work() as uow:
            await uow.videos.get(TenantId("org"), make_video().id)
            raise error

    with pytest.raises(type(error)) as raised:
        await fail()
    assert raised.value is error
