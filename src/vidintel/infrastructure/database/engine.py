"""The connection pool, and the classification of its errors."""

from collections.abc import Callable
from typing import Any

import asyncpg
from sqlalchemy import Dialect, ExceptionContext, NullPool, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from vidintel.domain.errors import DomainError, ServiceUnavailable
from vidintel.settings.model import DatabaseSettings

CONNECT_S = 10.0
ANSWER_S = "vidintel_answer_s"
"""The execution option of every connection that says how long to wait for an answer."""
_LATE_S = 2.0


class Unreachable(Exception):
    """Errors of the operating system that the driver passes on: refused, reset, timed out."""


_OUTAGES = (
    Unreachable,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InterfaceError,
)
_COLLISIONS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_BUSY = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.TooManyConnectionsError, PoolTimeout)


def create_engine(
    url: str, settings: DatabaseSettings, *, application_name: str = "vidintel", pooled: bool = True
) -> AsyncEngine:
    """A pool of connections to ``url`` (``postgresql+asyncpg://…``); every session is in UTC.

    An engine belongs to the event loop that first used it; ``pooled=False`` makes one that keeps no connection.
    """
    arguments = {
        "server_settings": server_settings(settings, application_name),
        "timeout": CONNECT_S,
        "command_timeout": answer_s(settings),
    }
    options = {ANSWER_S: answer_s(settings)}
    if pooled:
        engine = create_async_engine(
            url,
            connect_args=arguments,
            execution_options=options,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=settings.pool_size,
            max_overflow=settings.max_overflow,
            pool_timeout=settings.pool_timeout_s,
        )
    else:
        engine = create_async_engine(
            url, connect_args=arguments, execution_options=options, hide_parameters=True, poolclass=NullPool
        )
    dialect = engine.dialect
    dialect.do_ping = _forgiving(dialect.do_ping)  # type: ignore[assignment, method-assign]  # there is no event for it
    event.listen(engine.sync_engine, "do_connect", _connect)
    event.listen(engine.sync_engine, "handle_error", _name_outage)
    return engine


def answer_s(settings: DatabaseSettings) -> float:
    """How long to wait for a response, seconds. A server that still responds has cancelled the statement by then."""
    return settings.statement_timeout_s + _LATE_S


def server_settings(settings: DatabaseSettings, application_name: str) -> dict[str, str]:
    """PostgreSQL's settings for each connection, by their names; times are in milliseconds."""
    return {
        "application_name": application_name,
        "statement_timeout": _milliseconds(settings.statement_timeout_s),
        "lock_timeout": _milliseconds(settings.lock_timeout_s),
        "idle_in_transaction_session_timeout": _milliseconds(settings.idle_in_transaction_timeout_s),
        "timezone": "UTC",
    }


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


def _forgiving(ping: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Make the pool replace a connection that no longer responds, like one that was closed."""

    def do_ping(connection: Any) -> bool:
        try:
            return ping(connection)
        except OSError:
            return False

    return do_ping


def _connect(dialect: Dialect, _record: object, arguments: list[Any], options: dict[str, Any]) -> object:
    try:
        return dialect.connect(*arguments, **options)
    except OSError as error:
        raise Unreachable(str(error)) from error


def _name_outage(context: ExceptionContext) -> None:
    # Nothing else raises it within a statement, so it cannot be confused with an error of a disk or another connection.
    if isinstance(context.original_exception, OSError):
        raise Unreachable(str(context.original_exception)) from context.original_exception


def create_session_factory(engine: AsyncEngine, *, read_only: bool = False) -> async_sessionmaker[AsyncSession]:
    """Sessions on ``engine``, for `SqlUnitOfWork`. The server rejects every write of a ``read_only`` session."""
    if read_only:
        engine = engine.execution_options(postgresql_readonly=True)
    return async_sessionmaker(engine, autoflush=False, expire_on_commit=False)


async def check_database(engine: AsyncEngine) -> None:
    """Raise `ServiceUnavailable` unless the database answers."""
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, Unreachable) as error:
        raise ServiceUnavailable(
            "The database does not respond. Check that it runs, and that VIDINTEL_DATABASE__URL is correct."
        ) from error


def is_outage(error: BaseException) -> bool:
    """Whether ``error`` means that the server cannot be reached (any more), rather than that it refused a request."""
    if isinstance(error, DomainError):
        return False  # its type is conclusive; its cause may be unrelated, such as a disk error
    if isinstance(error, DBAPIError) and (error.connection_invalidated or isinstance(error, InterfaceError)):
        return True
    return isinstance(_cause(error), _OUTAGES)


def is_exhausted(error: BaseException) -> bool:
    """Whether the server is out of disk, memory or another resource (SQLSTATE class 53), connections aside."""
    cause = _cause(error)
    return isinstance(cause, asyncpg.InsufficientResourcesError) and not isinstance(cause, _BUSY)


def is_collision(error: BaseException) -> bool:
    """Whether the server aborted this transaction in favour of another one, so that a retry may succeed."""
    return isinstance(_cause(error), _COLLISIONS)


def is_contended(error: BaseException) -> bool:
    """Whether a lock, a response or a connection was not available in time."""
    return isinstance(_cause(error), _BUSY)


def _cause(error: BaseException) -> BaseException:
    """The driver's error inside an error of SQLAlchemy."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error
