"""A process that is stopped anywhere between the first byte and the last commit loses nothing and doubles nothing."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from uuid import uuid4

import pytest

from tests.crashing.invariants import answers, violations
from tests.crashing.points import CrashPoints
from tests.crashing.system import CLIP, CRASHED, Place, recover, run, run_and_crash
from tests.support.media_files import PLAIN, even_times, video
from tests.support.postgres import administer, in_database
from vidintel.application.jobs.work import FINISH, PLAN, SEGMENT

STEPS = {"register a video", "register no video", "dispatch", PLAN, SEGMENT, FINISH, "deliver", "sweep"}
AT_ONCE = 3
# Each crash is the end of a real process; forked from one without threads, which has everything imported.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.crashing.system"])
CALLS = {"commit", "put", "open", "enqueue", "handle"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / CLIP).write_bytes(video(even_times(50), PLAIN.with_keyframes(25)))
    return tmp_path


@pytest.fixture
def databases(postgres_server: str, _migrated_template: str) -> Iterator["Queue[str]"]:
    """As many as there are runs at once; each begins with an empty one."""
    names = [f"vidintel_crash_{uuid4().hex}" for _ in range(AT_ONCE)]
    free: Queue[str] = Queue()
    for name in names:
        administer(postgres_server, f'CREATE DATABASE "{name}" TEMPLATE "{_migrated_template}"')
        free.put(in_database(postgres_server, name))
    yield free
    for name in names:
        administer(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def new_place(databases: "Queue[str]", folder: Path) -> Iterator[Place]:
    url = databases.get()
    administer(url, "TRUNCATE videos, jobs, segments, detections, object_deletions, work_items CASCADE")
    administer(url, "TRUNCATE outbox, event_deliveries, event_subscribers, event_subscriptions")
    data_dir = folder / uuid4().hex
    data_dir.mkdir()
    yield Place(url, data_dir)
    databases.put(url)


@pytest.mark.timeout(1200)  # a process for each point, on a machine that may be busy
def test_no_crash_point_loses_or_doubles_anything(databases: "Queue[str]", folder: Path) -> None:
    undisturbed = CrashPoints(None, lambda: None)
    with new_place(databases, folder) as place:
        asyncio.run(run(place, undisturbed))
        assert violations(place) == []
        expected = answers(place)
        assert len(expected.detections) > 10
        assert [kind for kind, _ in expected.results] == ["snapshots", "summary", "timeline"]
    assert {point.split(": ")[0] for point in undisturbed.passed} == STEPS
    assert {point.split()[-1] for point in undisturbed.passed} == CALLS

    def wrong_after(number: int) -> list[str]:
        with new_place(databases, folder) as place:
            crashing = PROCESSES.Process(target=run_and_crash, args=(place, number))
            crashing.start()
            crashing.join()
            assert crashing.exitcode == CRASHED
            asyncio.run(recover(place))
            wrong = violations(place)
            complete = answers(place) == expected
            return wrong if complete or not place.accepted() else [*wrong, "the answers are not those of a quiet run"]

    numbers = list(undisturbed.distinct())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = zip(numbers, pool.map(wrong_after, numbers), strict=True)
        broken = {f"{number} {undisturbed.passed[number]}": what for number, what in wrong if what}
    assert broken == {}
