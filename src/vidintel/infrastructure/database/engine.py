"""The connection pool."""

import asyncpg
from sqlalchemy import NullPool, text
from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from vidintel.domain.errors import DomainError, ServiceUnavailable
from vidintel.settings import DatabaseSettings

_OUTAGES = (
    OSError,
    PoolTimeout,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
)


def create_engine(
    url: str, settings: DatabaseSettings, *, application_name: str = "vidintel", pooled: bool = True
) -> AsyncEngine:
    """A pool of connections to ``url`` (``postgresql+asyncpg://…``); every session is in UTC.

    An engine belongs to the event loop that first used it; ``pooled=False`` makes one that keeps no connection.
    """
    connect_args = {
        "server_settings": {
            "application_name": application_name,
            "statement_timeout": str(round(settings.statement_timeout_s * 1000)),
            "timezone": "UTC",
        }
    }
    if not pooled:
        return create_async_engine(url, connect_args=connect_args, hide_parameters=True, poolclass=NullPool)
    return create_async_engine(
        url,
        connect_args=connect_args,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
    )


def create_session_factory(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions on ``engine``, for `SqlUnitOfWork`."""
    return async_sessionmaker(engine, autoflush=False, expire_on_commit=False)


async def check_database(engine: AsyncEngine) -> None:
    """Raise `ServiceUnavailable` unless the database answers."""
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise ServiceUnavailable("The database does not answer.") from error


def is_outage(error: BaseException) -> bool:
    """Whether ``error`` means that the server is not there (any more), rather than that it refused something."""
    if isinstance(error, DomainError):
        return False  # what caused it, a disk perhaps, is told by its kind already
    if isinstance(error, DBAPIError) and (error.connection_invalidated or isinstance(error, InterfaceError)):
        return True
    return isinstance(error, _OUTAGES) or isinstance(error.__cause__, _OUTAGES)
