"""What is left when all has come to rest."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.chaos.system import ChaosSystem
from tests.crashing.invariants import KEPT, TRUE_OF_THE_ROWS
from tests.support.postgres import administer
from vidintel.infrastructure.storage.s3_calls import connect

REST_S = 300.0
_ACTIVE = "SELECT count(*) AS n FROM jobs WHERE status IN ('queued', 'running')"
_JOBS = "SELECT id, video_id, status, finished_at FROM jobs"
_SAME_TITLE = "SELECT title FROM videos GROUP BY title HAVING count(*) > 1"
# One line for all that was found in a video: the same for each, since all were sent the same clip.
_FOUND = """
    SELECT video_id, md5(string_agg(concat_ws(' ', frame, position, label, confidence, x1, y1, x2, y2, track_id), ','
                                    ORDER BY frame, position)) AS found
    FROM detections GROUP BY video_id"""
_TELLINGS = """
    SELECT subject_id AS job_id FROM outbox WHERE subject_kind = 'job' AND type <> 'job.started'
    GROUP BY subject_id HAVING count(*) <> 1"""
# Uploads that broke off are removed a day later.
_TO_BE_DELETED = "SELECT key FROM object_deletions"


@dataclass(frozen=True, slots=True)
class Findings:
    """``finished`` videos have a job that succeeded and found what it should; ``ends`` is when jobs came to an end."""

    finished: set[UUID]
    doubled: Sequence[str]
    faults: Sequence[str]
    ends: Sequence[datetime]


async def await_rest(system: ChaosSystem) -> None:
    """Wait until no job is queued or running."""
    deadline = time.monotonic() + REST_S
    while (await asyncio.to_thread(administer, system.database_url, _ACTIVE))[0]["n"]:
        if time.monotonic() > deadline:
            raise AssertionError(f"some jobs do not come to an end; see the logs in {system.folder}")
        await asyncio.sleep(0.1)


def look(system: ChaosSystem, reference: UUID) -> Findings:
    """``reference`` is a video that was analysed in peace."""

    def rows(query: str) -> list[Any]:
        return administer(system.database_url, query)

    found = {row["video_id"]: row["found"] for row in rows(_FOUND)}
    jobs = rows(_JOBS)
    done = {job["video_id"] for job in jobs if job["status"] == "succeeded"}
    faults = [what for what, query in TRUE_OF_THE_ROWS.items() if rows(query)]
    faults += [f"other detections in {video}" for video in done if found.get(video) != found[reference]]
    kept, stored = {row["key"] for row in rows(KEPT)}, _stored(system)
    faults += [f"orphan object {key}" for key in stored - kept - {row["key"] for row in rows(_TO_BE_DELETED)}]
    faults += [f"missing object {key}" for key in kept - stored]
    several = {str(job["video_id"]) for job in jobs if sum(each["video_id"] == job["video_id"] for each in jobs) > 1}
    return Findings(
        finished={video for video in done if found.get(video) == found[reference]},
        doubled=[*several, *(row["title"] for row in rows(_SAME_TITLE)), *(str(r["job_id"]) for r in rows(_TELLINGS))],
        faults=faults,
        ends=sorted(job["finished_at"] for job in jobs if job["finished_at"] is not None),
    )


def _stored(system: ChaosSystem) -> set[str]:
    client: Any = connect(system.s3)
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=system.s3.bucket)
        return {each["Key"] for page in pages for each in page.get("Contents", ())}
    finally:
        client.close()
