"""What must hold of a system that has come to rest, whatever happened on the way."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.crashing.system import Place
from tests.support.postgres import administer

TRUE_OF_THE_ROWS = {  # each of these finds nothing
    "an item of work was left behind": "SELECT id FROM work_items WHERE tenant_id <> 'vidintel:system'",
    "a job has not come to an end": "SELECT id FROM jobs WHERE status IN ('queued', 'running')",
    "a video's state is not that of its job": """
        SELECT videos.id FROM videos JOIN jobs ON jobs.video_id = videos.id
        WHERE (videos.status, jobs.status) NOT IN (('completed', 'succeeded'), ('failed', 'failed'))""",
    "the current job of a video did not publish results, or is another video's": """
        SELECT videos.id FROM videos LEFT JOIN jobs ON jobs.id = current_job_id AND jobs.video_id = videos.id
        WHERE jobs.status IS DISTINCT FROM 'succeeded'
        AND (videos.status = 'completed' OR current_job_id IS NOT NULL)""",
    "a video has no job": "SELECT id FROM videos WHERE id NOT IN (SELECT video_id FROM jobs)",
    "the end of a job has no event, or another one": """
        SELECT jobs.id FROM jobs LEFT JOIN outbox ON outbox.subject_id = jobs.id AND outbox.type <> 'job.started'
            AND (outbox.payload ->> 'run_number')::int = jobs.run_number
        WHERE outbox.type IS DISTINCT FROM 'job.' || jobs.status""",
    "a job was started without an event": """
        SELECT id FROM jobs WHERE started_at IS NOT NULL
            AND id NOT IN (SELECT subject_id FROM outbox WHERE type = 'job.started')""",
    "a video was uploaded without an event": """
        SELECT id FROM videos WHERE id NOT IN (SELECT subject_id FROM outbox WHERE type = 'video.uploaded')""",
    "an event tells of something that did not happen": """
        SELECT subject_id FROM outbox WHERE subject_kind = 'job'
            AND (subject_id, (payload ->> 'run_number')::int) NOT IN (SELECT id, run_number FROM jobs)""",
    "an event was not delivered": "SELECT position FROM event_deliveries",
    "detections belong to no job": "SELECT job_id FROM detections WHERE job_id NOT IN (SELECT id FROM jobs)",
}
KEPT = "SELECT content_key AS key FROM videos UNION SELECT key FROM snapshots"
_FOUND = """
    SELECT frame, position, label, confidence, x1, y1, x2, y2, track_id
    FROM detections JOIN jobs ON jobs.id = detections.job_id ORDER BY jobs.created_at, frame, position"""
_ANSWERED = """
    SELECT kind, data FROM ai_results JOIN jobs ON jobs.id = ai_results.job_id ORDER BY jobs.created_at, kind"""


def violations(place: Place) -> list[str]:
    """What is wrong, in words; nothing when all is well."""
    broken = [what for what, query in TRUE_OF_THE_ROWS.items() if administer(place.database_url, query)]
    videos: set[UUID] = {row["id"] for row in administer(place.database_url, "SELECT id FROM videos")}
    if not place.accepted() <= videos:
        broken.append("a video was accepted and is lost")
    happened = {row["id"] for row in administer(place.database_url, "SELECT id FROM outbox")}
    if place.told() != happened:
        broken.append(f"told of {len(place.told())} events, of which {len(happened & place.told())} of {len(happened)}")
    kept = {row["key"] for row in administer(place.database_url, KEPT)}
    stored = objects_in(place)
    if administer(place.database_url, "SELECT key FROM object_deletions"):
        broken.append("an object is still to be deleted")
    if stored - kept:
        broken.append(f"orphan objects: {sorted(stored - kept)}")
    if kept - stored:
        broken.append(f"missing objects: {sorted(kept - stored)}")
    return broken


def objects_in(place: Place) -> set[str]:
    root = place.objects_dir
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@dataclass(frozen=True, slots=True)
class Answers:
    """What clients can ask for, without what differs from run to run."""

    detections: list[tuple[Any, ...]]
    results: list[tuple[str, Any]]


def answers(place: Place) -> Answers:
    found = administer(place.database_url, _FOUND)
    results = administer(place.database_url, _ANSWERED)
    return Answers([tuple(row) for row in found], [(row["kind"], json.loads(row["data"])) for row in results])
