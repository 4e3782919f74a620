"""Reading a page of the list of videos reads no more of the table than that page."""

from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.contracts.stored import keep
from tests.support.factories import TENANT, make_video
from vidintel.application.ports import Page, UnitOfWorkFactory, VideoFilter
from vidintel.domain.video import CameraId

PAGE = 10
CAMERAS = 20
COPIES = """
    INSERT INTO videos (
        id, tenant_id, created_by, source_kind, source_name, title, camera_id, created_at, updated_at, status
    )
    SELECT gen_random_uuid(), tenant_id, created_by, source_kind, source_name, title, 'camera ' || number % :cameras,
           created_at - number * interval '1 minute', updated_at, status
    FROM videos, generate_series(1, 4000) AS number
"""


@pytest.mark.parametrize(
    ("filter_", "index"),
    [
        (VideoFilter(), "ix_videos_newest"),
        (VideoFilter(camera_id=CameraId("camera 7")), "ix_videos_newest_by_camera"),
    ],
    ids=["all", "camera"],
)
async def test_a_page_is_read_from_its_index_without_sorting(
    unit_of_work: UnitOfWorkFactory, engine: AsyncEngine, filter_: VideoFilter, index: str
) -> None:
    await keep(unit_of_work, make_video())
    async with engine.begin() as connection:
        await connection.execute(text(COPIES), {"cameras": CAMERAS})
        await connection.execute(text("ANALYZE videos"))
    statements: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        statements.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    async with unit_of_work() as uow:
        shown, cursor = await uow.videos.list(TENANT, filter_, Page(limit=PAGE))
        statements.clear()
        more, _ = await uow.videos.list(TENANT, filter_, Page(limit=PAGE, cursor=cursor))
    event.remove(engine.sync_engine, "before_cursor_execute", note)

    assert len({video.id for video in (*shown, *more)}) == 2 * PAGE
    statement, parameters = statements[0]
    async with engine.connect() as connection:
        explained = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        plan = explained.scalar_one()[0]["Plan"]
    assert plan["Node Type"] == "Limit"
    (scan,) = plan["Plans"]
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", index)
    assert scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0) <= PAGE + 1
