"""Runs the migrations, each set in one transaction, under a lock that makes concurrent runs wait for each other."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from vidintel.infrastructure.database.tables import metadata

_LOCK = 0x76_69_64_69
"""Key of the advisory lock that serialises migrations."""


def _url() -> str:
    url = context.config.attributes.get("url") or os.environ.get("VIDINTEL_DATABASE__URL")
    if not url:
        raise SystemExit("Set VIDINTEL_DATABASE__URL to the database to migrate (postgresql+asyncpg://…).")
    return str(url)


def _migrate(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    # Rather fail and be run again than queue behind a long query and hold up everybody else.
    connection.execute(text("SET LOCAL lock_timeout = '10s'"))
    connection.execute(text("SET LOCAL statement_timeout = '15min'"))
    context.configure(connection=connection, target_metadata=metadata, compare_type=True, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


async def _online() -> None:
    engine = create_async_engine(_url(), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


def _offline() -> None:
    context.configure(url=_url(), target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.execute("SET LOCAL lock_timeout = '10s'")
        context.execute("SET LOCAL statement_timeout = '15min'")
        context.run_migrations()


if context.is_offline_mode():
    _offline()
else:
    asyncio.run(_online())
