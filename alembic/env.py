"""Runs the migrations, each in a transaction of its own; runs at the same time wait for each other."""

import asyncio
import os
import time

from alembic import context
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from vidintel.infrastructure.database.tables import metadata

_LOCK = 0x76_69_64_69
"""Key of the advisory lock that serialises migrations."""

_ASK_AGAIN_S = 0.1
# Rather fail and be run again than queue behind a long query and hold up everybody else.
_TIMEOUTS = ("SET lock_timeout = '10s'", "SET statement_timeout = '15min'")


def _url() -> str:
    url = context.config.attributes.get("url") or os.environ.get("VIDINTEL_DATABASE__URL")
    if not url:
        raise SystemExit("Set VIDINTEL_DATABASE__URL to the database to migrate (postgresql+asyncpg://…).")
    return str(url)


def _migrate(connection: Connection) -> None:
    # Asked for again and again, as who waits for it in a statement keeps CREATE INDEX CONCURRENTLY waiting for him.
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}):
        connection.rollback()
        time.sleep(_ASK_AGAIN_S)
    for timeout in _TIMEOUTS:
        connection.execute(text(timeout))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _online() -> None:
    engine = create_async_engine(_url(), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate)  # the lock goes with the connection
    finally:
        await engine.dispose()


def _offline() -> None:
    context.configure(url=_url(), target_metadata=metadata, literal_binds=True, transaction_per_migration=True)
    for timeout in _TIMEOUTS:
        context.execute(timeout)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    _offline()
else:
    asyncio.run(_online())
