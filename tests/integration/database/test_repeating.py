"""A unit of work is retried after a transient failure, unless it may have been committed."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.contracts.stored import keep, reload_video
from tests.support.factories import NOW, make_video
from tests.support.postgres import cut_all_others
from vidintel.application.ports import UnitOfWorkFactory
from vidintel.application.retry import retried
from vidintel.domain.errors import ServiceUnavailable
from vidintel.domain.video import Video


async def test_of_two_that_lock_each_other_out_both_succeed_in_the_end(unit_of_work: UnitOfWorkFactory) -> None:
    first, second = make_video(), make_video()
    await keep(unit_of_work, first, second)
    both_hold_one = asyncio.Barrier(2)
    attempts: list[str] = []

    @retried
    async def rename(videos: Sequence[Video], title: str) -> None:
        attempts.append(title)
        async with unit_of_work() as uow:
            for number, video in enumerate(videos):
                locked = await uow.videos.get_for_update(video.tenant_id, video.id)
                assert locked is not None
                locked.edit(NOW, fields=frozenset({"title"}), title=f"{locked.title}{title}")
                await uow.videos.save(locked)
                if number == 0 and len(attempts) <= 2:
                    await both_hold_one.wait()
            await uow.commit()

    await asyncio.gather(rename([first, second], "+a"), rename([second, first], "+b"))

    assert len(attempts) == 3
    for video in (first, second):
        added = (await reload_video(unit_of_work, video)).title.removeprefix(video.title)
        assert sorted(added.split("+")[1:]) == ["a", "b"], "each once"


async def test_a_connection_that_breaks_before_the_commit_costs_nothing(
    unit_of_work: UnitOfWorkFactory, database_url: str
) -> None:
    video, attempts = make_video(), 0

    @retried
    async def add() -> None:
        nonlocal attempts
        attempts += 1
        async with unit_of_work() as uow:
            await uow.videos.add(video)
            if attempts == 1:
                await cut_all_others(database_url)
            await uow.videos.get(video.tenant_id, video.id)
            await uow.commit()

    await add()

    assert attempts == 2
    assert (await reload_video(unit_of_work, video)).id == video.id


async def test_a_commit_without_an_answer_is_not_done_again(unit_of_work: UnitOfWorkFactory, database_url: str) -> None:
    attempts = 0

    @retried
    async def add() -> None:
        nonlocal attempts
        attempts += 1
        async with unit_of_work() as uow:
            await uow.videos.add(make_video())
            await cut_all_others(database_url)
            await uow.commit()

    with pytest.raises(ServiceUnavailable):
        await add()

    assert attempts == 1


async def test_it_is_given_up_in_the_end() -> None:
    attempts = 0

    @retried
    async def fail() -> None:
        nonlocal attempts
        attempts += 1
        raise ServiceUnavailable("No.", retryable=True)

    with pytest.raises(ServiceUnavailable):
        await fail()

    assert attempts == 4


async def test_connections_that_broke_while_nobody_used_them_are_not_noticed(
    unit_of_work: UnitOfWorkFactory, database_url: str
) -> None:
    video = make_video()
    await keep(unit_of_work, video)
    await cut_all_others(database_url)

    assert (await reload_video(unit_of_work, video)).id == video.id
