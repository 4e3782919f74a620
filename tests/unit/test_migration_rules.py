"""No migration holds up the system that runs while it is applied."""

import io

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from tests.support.migration_rules import locking_statements
from vidintel.infrastructure.database import migrate
from vidintel.resources import find_resource

SCRIPTS = list(ScriptDirectory(str(find_resource("alembic"))).walk_revisions())[::-1]
EXCEPTIONS: dict[str, str] = {
    "6e20b94f17d8": "The index that is dropped was never part of a release: no system that is in use has it.",
}
"""Revisions that may lock, and why. Think of a table of a billion rows, and of a query that runs for an hour."""


def sql_of(revisions: str) -> str:
    """What `vidintel migrate` would execute, without a database."""
    config = migrate.configuration("postgresql+asyncpg://nobody@localhost/none")
    config.output_buffer = io.StringIO()
    command.upgrade(config, revisions, sql=True)
    return config.output_buffer.getvalue()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.revision)
def test_a_migration_does_not_lock_tables_that_are_in_use(script: object) -> None:
    revision, before = script.revision, script.down_revision or "base"  # type: ignore[attr-defined]  # untyped
    found = list(locking_statements(sql_of(f"{before}:{revision}")))

    assert bool(found) == (revision in EXCEPTIONS), found


def test_migrations_rather_fail_than_wait_for_locks() -> None:
    assert "SET lock_timeout = '10s'" in sql_of("base:head")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX ix_a ON videos (a)",
        "CREATE UNIQUE INDEX ix_a ON videos (a) WHERE a > 0",
        "DROP INDEX ix_a",
        "ALTER TABLE videos ADD COLUMN a INTEGER NOT NULL",
        "ALTER TABLE videos ADD COLUMN a UUID DEFAULT gen_random_uuid() NOT NULL",
        "ALTER TABLE videos ADD COLUMN a INTEGER GENERATED ALWAYS AS (1) STORED",
        "ALTER TABLE videos ALTER COLUMN a TYPE BIGINT",
        "ALTER TABLE videos ALTER COLUMN a SET NOT NULL",
        "ALTER TABLE videos ADD CONSTRAINT ck_a CHECK (a > 0)",
        "ALTER TABLE videos ADD CONSTRAINT fk_a FOREIGN KEY(a) REFERENCES b (id)",
        "ALTER TABLE videos ADD CONSTRAINT uq_a UNIQUE (a)",
        "CREATE TABLE other (a INTEGER);\nCREATE INDEX ix_a ON videos (a)",
        "LOCK TABLE videos",
        "VACUUM FULL videos",
    ],
)
def test_statements_that_lock_are_found(statement: str) -> None:
    assert len(list(locking_statements(f"BEGIN;\n\n{statement};\n\nCOMMIT;"))) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX CONCURRENTLY ix_a ON videos (a)",
        "CREATE TABLE videos (a INTEGER NOT NULL);\nCREATE INDEX ix_a ON videos (a)",
        "DROP INDEX CONCURRENTLY IF EXISTS ix_a",
        "ALTER TABLE videos ADD COLUMN a INTEGER",
        "ALTER TABLE videos ADD COLUMN a INTEGER DEFAULT 0 NOT NULL",
        "ALTER TABLE videos ADD COLUMN a JSONB DEFAULT '[]'::jsonb NOT NULL",
        "ALTER TABLE videos ADD CONSTRAINT ck_a CHECK (a > 0) NOT VALID",
        "ALTER TABLE videos ADD CONSTRAINT uq_a UNIQUE USING INDEX ix_a",
        "ALTER TABLE videos DROP COLUMN a",
    ],
)
def test_statements_that_do_not_lock_pass(statement: str) -> None:
    assert list(locking_statements(statement)) == []
