"""The ways to back up and restore that docs/operations.md describes."""

import asyncio
import subprocess
from pathlib import Path

from sqlalchemy import make_url

from tests.contracts.stored import keep
from tests.support.factories import make_frame, make_item, make_job, make_segment, make_video
from tests.support.postgres import administer, new_server_dir
from vidintel.domain.analysis import JobStatus
from vidintel.domain.video import VideoStatus
from vidintel.infrastructure.database import migrate
from vidintel.infrastructure.database.engine import create_engine, create_session_factory
from vidintel.infrastructure.database.unit_of_work import SqlUnitOfWork
from vidintel.infrastructure.embedded_postgres.binaries import Binaries
from vidintel.infrastructure.embedded_postgres.server import EmbeddedPostgres
from vidintel.settings.model import DatabaseSettings

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
CONTENT = "SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM {} t"


async def fill(url: str) -> None:
    """A video of which one segment is being looked through."""
    engine = create_engine(url, DatabaseSettings())
    sessions = create_session_factory(engine)
    video = make_video(status=VideoStatus.PROCESSING)
    job = make_job(video=video, status=JobStatus.RUNNING)
    segment = make_segment(job=job)
    await keep(lambda: SqlUnitOfWork(sessions), video, job, segment)
    async with SqlUnitOfWork(sessions) as uow:
        await uow.work_items.add_all([make_item(subject_id=segment.id, group_id=job.id, owner="worker-1")])
        await uow.detections.add_all(segment, video.id, [make_frame(0, "car", "person"), make_frame(5, "car")])
        await uow.commit()
    await engine.dispose()


def content_of(url: str) -> dict[str, tuple[int, str | None]]:
    """Of every table, how many rows it has and a digest of them."""
    tables = [str(name) for (name,) in administer(url, TABLES)]
    rows = {table: administer(url, CONTENT.format(table))[0] for table in tables}
    return {table: (int(count), digest) for table, (count, digest) in rows.items()}


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def postgres_tool(program: str, url: str, *arguments: str) -> None:
    database = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    run(Binaries.find(None).path(program), f"--dbname={database}", *arguments)


def test_a_dump_of_a_running_server_is_restored_into_an_empty_database(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    asyncio.run(fill(database_url))
    dump = tmp_path / "vidintel.dump"

    postgres_tool("pg_dump", database_url, "--format=custom", f"--file={dump}")
    postgres_tool("pg_restore", empty_database_url, "--no-owner", "--exit-on-error", "--single-transaction", str(dump))
    restored = content_of(empty_database_url)
    migrate.upgrade(empty_database_url)

    assert restored == content_of(database_url) == content_of(empty_database_url)
    assert {restored[table][0] for table in ("videos", "jobs", "segments")} == {1}
    assert restored["detections"][0] == 3


def test_a_copy_of_a_stopped_data_directory_runs() -> None:
    with new_server_dir() as folder:
        with EmbeddedPostgres(folder / "data" / "postgres", durable=False) as server:
            migrate.upgrade(server.url)
            asyncio.run(fill(server.url))
            kept = content_of(server.url)
        run("cp", "-a", str(folder / "data"), str(folder / "restored"))
        with EmbeddedPostgres(folder / "restored" / "postgres", durable=False) as server:
            restored = content_of(server.url)

    assert restored == kept
    assert restored["detections"][0] == 3
