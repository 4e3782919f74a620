"""Upgrades the schema. Blocking: call it before the event loop starts, or in a thread."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from vidintel.resources import find_resource


def configuration(url: str) -> Config:
    """Alembic's configuration for the database at ``url`` (``postgresql+asyncpg://…``)."""
    config = Config()
    config.set_main_option("script_location", str(find_resource("alembic")).replace("%", "%%"))
    config.attributes["url"] = url
    return config


_one_at_a_time = Lock()
"""Alembic keeps its state in module globals. Other processes wait for a lock in the database (see env.py)."""


def upgrade(url: str) -> None:
    """Apply every migration that is missing; several callers at once wait for each other."""
    # Alembic's environment runs an event loop of its own, which no thread with a running one allows.
    with _one_at_a_time, ThreadPoolExecutor(1) as thread:
        thread.submit(command.upgrade, configuration(url), "head").result()


def head_revision() -> str | None:
    """The newest revision that this code knows."""
    return ScriptDirectory(str(find_resource("alembic"))).get_current_head()


async def current_revision(url: str) -> str | None:
    """The revision of the database at ``url``; ``None`` when it was never migrated."""
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_revision_of)
    finally:
        await engine.dispose()


def is_up_to_date(url: str) -> bool:
    """Whether the database at ``url`` is at `head_revision`. Blocking, as `upgrade` is."""
    return asyncio.run(current_revision(url)) == head_revision()


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
