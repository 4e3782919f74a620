"""A real PostgreSQL for tests, loaded as a pytest plugin.

The server is the one at ``VIDINTEL_TEST_DATABASE_URL`` (a role that may create databases), else the embedded one. Each
test that asks for `database_url` gets a fresh, migrated database of its own.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from vidintel.infrastructure.database import migrate
from vidintel.infrastructure.database.engine import create_engine, create_session_factory
from vidintel.infrastructure.database.unit_of_work import SqlUnitOfWork
from vidintel.infrastructure.embedded_postgres.server import EmbeddedPostgres
from vidintel.settings.model import DatabaseSettings

_SERVER_USED = pytest.StashKey[str]()


def administer(server_url: str, *statements: str) -> list[asyncpg.Record]:
    """Run statements outside any transaction, from synchronous code; returns the rows of the last one."""
    url = make_url(server_url)
    _, arguments = url.get_dialect()().create_connect_args(url)

    async def run() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(**arguments)
        try:
            rows: list[asyncpg.Record] = []
            for statement in statements:
                rows = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()

    with asyncio.Runner() as runner:
        return runner.run(run())


async def cut_all_others(url: str) -> None:
    """End every other connection to the database at ``url``, as a server does that restarts."""
    parsed = make_url(url)
    _, arguments = parsed.get_dialect()().create_connect_args(parsed)
    connection = await asyncpg.connect(**arguments)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


def in_database(server_url: str, name: str) -> str:
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


@contextmanager
def new_server_dir() -> Iterator[Path]:
    """An empty folder that an embedded server can use in place even when root runs the tests.

    pytest's own are closed to the account that the server runs under then.
    """
    folder = Path(tempfile.mkdtemp(prefix="vidintel-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def server_dir() -> Iterator[Path]:
    with new_server_dir() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server's administrative database."""
    url = os.environ.get("VIDINTEL_TEST_DATABASE_URL")
    if url:
        request.config.stash[_SERVER_USED] = f"{_version(url)} at VIDINTEL_TEST_DATABASE_URL"
        yield url
        return
    with new_server_dir() as folder, EmbeddedPostgres(folder, durable=False) as server:
        request.config.stash[_SERVER_USED] = f"{_version(server.url)}, embedded"
        yield server.url


@pytest.fixture(scope="session")
def _migrated_template(postgres_server: str) -> Iterator[str]:
    name = f"vidintel_template_{uuid4().hex}"
    administer(postgres_server, f'CREATE DATABASE "{name}"')
    migrate.upgrade(in_database(postgres_server, name))
    yield name
    administer(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def empty_database_url(postgres_server: str) -> Iterator[str]:
    """A database of its own, without tables."""
    name = f"vidintel_test_{uuid4().hex}"
    administer(postgres_server, f'CREATE DATABASE "{name}"')
    yield in_database(postgres_server, name)
    administer(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def database_url(postgres_server: str, _migrated_template: str) -> Iterator[str]:
    """A migrated database of its own."""
    name = f"vidintel_test_{uuid4().hex}"
    administer(postgres_server, f'CREATE DATABASE "{name}" TEMPLATE "{_migrated_template}"')
    yield in_database(postgres_server, name)
    administer(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, DatabaseSettings())
    yield engine
    await engine.dispose()


@pytest.fixture
def uow_factory(engine: AsyncEngine) -> Callable[[], SqlUnitOfWork]:
    sessions = create_session_factory(engine)
    return lambda: SqlUnitOfWork(sessions)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    used = config.stash.get(_SERVER_USED, None)
    if used is not None:
        terminalreporter.write_line(f"PostgreSQL used: {used}")


def _version(url: str) -> str:
    version: str = administer(url, "SHOW server_version")[0][0]
    return version
