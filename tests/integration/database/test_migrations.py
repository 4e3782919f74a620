import asyncio
import subprocess
import sys
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from tests.support.postgres import administer
from vidintel.infrastructure.database import migrate
from vidintel.resources import find_resource

REVISIONS = [script.revision for script in ScriptDirectory(str(find_resource("alembic"))).walk_revisions()][::-1]


def tables_of(url: str) -> set[str]:
    rows = administer(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows} - {"alembic_version"}


def test_every_migration_goes_up_down_and_up_again(empty_database_url: str) -> None:
    config = migrate.configuration(empty_database_url)
    for revision in REVISIONS:
        command.upgrade(config, revision)
        command.downgrade(config, "-1")
        command.upgrade(config, revision)

    command.downgrade(config, "base")
    assert tables_of(empty_database_url) == set()


def test_the_migrations_make_the_tables_that_the_code_declares(database_url: str) -> None:
    command.check(migrate.configuration(database_url))


def test_a_fresh_database_is_brought_up_to_date(empty_database_url: str) -> None:
    assert not migrate.is_up_to_date(empty_database_url)

    migrate.upgrade(empty_database_url)
    migrate.upgrade(empty_database_url)

    assert migrate.is_up_to_date(empty_database_url)
    assert "jobs" in tables_of(empty_database_url)


async def test_migrating_works_within_an_event_loop_and_twice_at_once(empty_database_url: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(migrate.upgrade, empty_database_url) for _ in range(2)))

    assert await migrate.current_revision(empty_database_url) == migrate.head_revision()


def test_processes_that_migrate_at_once_wait_for_each_other(empty_database_url: str) -> None:
    migrating = [sys.executable, "-c", f"from {migrate.__name__} import upgrade; upgrade({empty_database_url!r})"]
    processes = [subprocess.Popen(migrating) for _ in range(3)]

    assert [process.wait() for process in processes] == [0, 0, 0]
    assert migrate.is_up_to_date(empty_database_url)


def test_migrations_are_named_by_date() -> None:
    files = sorted(path.name for path in (find_resource("alembic") / "versions").glob("*.py"))
    assert files
    assert all(name[:8].isdigit() and name[8] == "_" for name in files)


def test_the_migrations_are_found_in_a_checkout() -> None:
    assert find_resource("alembic") == Path(__file__).parents[3] / "alembic"
