"""Work is stored with what caused it, and keeps that cause."""

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.factories import make_item
from vidintel.domain.work import Cause
from vidintel.infrastructure.database.engine import create_session_factory
from vidintel.infrastructure.database.unit_of_work import SqlUnitOfWork

CAUSE = Cause("request-1", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


async def test_an_item_is_stored_with_its_cause_and_keeps_it(engine: AsyncEngine) -> None:
    sessions = create_session_factory(engine)
    item = make_item(owner="worker-1")
    async with SqlUnitOfWork(sessions, cause=lambda: CAUSE) as uow:
        await uow.work_items.add_all([item])
        await uow.commit()
    async with SqlUnitOfWork(sessions) as uow:
        token = item.work.token
        item.release(token, item.created_at)
        await uow.work_items.save(item, token)
        await uow.commit()

    async with SqlUnitOfWork(sessions) as uow:
        found = await uow.work_items.get(item.id)
    assert found is not None
    assert found.cause == CAUSE
